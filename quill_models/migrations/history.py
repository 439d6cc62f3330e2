"""Which migrations were applied: an item for each, in the table that they were applied to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from quill_models.dynamodb.items import PK, SK, WRITE_TOKEN, Condition, RawItem, new_token, raw_key
from quill_models.dynamodb.table import Table
from quill_models.models import key_schema
from quill_models.repositories import Run
from quill_models.values.errors import TableNotFound
from quill_models.values.keys import parse_time, time_text
from quill_models.writes.actions import TRANSACTION_ACTIONS, Action, Put, Refusal
from quill_models.writes.driver import send
from quill_models.writes.write import Write

__all__ = ["Applied", "History"]

_KIND = "migration"


@dataclass(frozen=True)
class Applied:
    """What the table knows of a migration.

    Attributes:
        number: of its file.
        name: of its file.
        description: of its file.
        checksum: of the file as it was run.
        applied_at: when it was done.
        seconds: how long it took, the last attempt alone.
        owner: of the migrator's run.
        fencing_token: of the migrator's run; ``None`` where the table was created with all that the
            migration brings.
        seen: how many items its backfills walked past.
        changed: how many of them they changed.
    """

    number: int
    name: str
    description: str
    checksum: str
    applied_at: datetime
    seconds: Decimal
    owner: str
    fencing_token: int | None = None
    seen: int = 0
    changed: int = 0

    def to_item(self) -> RawItem:
        """As it is stored."""
        item: RawItem = {
            **raw_key(key_schema.applied_migration(self.number)),
            "kind": {"S": _KIND},
            "number": {"N": str(self.number)},
            "name": {"S": self.name},
            "description": {"S": self.description},
            "checksum": {"S": self.checksum},
            "applied_at": {"S": time_text(self.applied_at)},
            "seconds": {"N": str(self.seconds)},
            "owner": {"S": self.owner},
            "seen": {"N": str(self.seen)},
            "changed": {"N": str(self.changed)},
        }
        if self.fencing_token is not None:
            item["fencing_token"] = {"N": str(self.fencing_token)}
        return item

    @classmethod
    def from_item(cls, item: RawItem) -> Applied:
        """What a stored item says."""
        token = item.get("fencing_token")
        return cls(
            number=int(item["number"]["N"]),
            name=item["name"]["S"],
            description=item["description"]["S"],
            checksum=item["checksum"]["S"],
            applied_at=parse_time(item["applied_at"]["S"]),
            seconds=Decimal(item["seconds"]["N"]),
            owner=item["owner"]["S"],
            fencing_token=None if token is None else int(token["N"]),
            seen=int(item["seen"]["N"]),
            changed=int(item["changed"]["N"]),
        )


class History:
    """What was applied to one table. Kept for ever."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def applied(self) -> dict[int, Applied] | None:
        """By number; ``None`` where there is no table. One strongly consistent request a page."""
        partition, (lower, upper) = key_schema.applied_migrations()
        condition = Condition(
            "#pk = :pk AND #sk BETWEEN :lower AND :upper",
            {"#pk": PK, "#sk": SK},
            {":pk": {"S": partition}, ":lower": {"S": lower}, ":upper": {"S": upper}},
        )
        try:
            applied = map(Applied.from_item, self._table.query_all(condition))
            return {each.number: each for each in applied}
        except TableNotFound:
            return None

    def record(self, applied: Applied, run: Run) -> None:
        """Record a migration, while the run holds the lock. One transaction of two actions.

        Raises:
            LeaseLost: another migrator took over; nothing was written.
        """
        send(self._table, _RecordApplied(self._table, [applied], run))

    def record_created(self, applied: Sequence[Applied]) -> None:
        """Record migrations that a new table was created with. What is recorded already stays."""
        for at in range(0, len(applied), TRANSACTION_ACTIONS):
            send(self._table, _RecordApplied(self._table, applied[at : at + TRANSACTION_ACTIONS]))


class _RecordApplied(Write[bool]):
    fixed_keys = True

    def __init__(self, table: Table, applied: Iterable[Applied], run: Run | None = None) -> None:
        self.token = new_token()
        self._run = run
        now = table.clock()
        token: RawItem = {WRITE_TOKEN: {"S": self.token}}
        self._puts = [Put({**each.to_item(), **token}, Condition.absent(now)) for each in applied]

    def actions(self) -> Sequence[Action]:
        return self._puts if self._run is None else [self._run.held(), *self._puts]

    def done(self, stored: RawItem | None = None) -> bool:  # noqa: ARG002
        return True

    def refused(self, refusals: Sequence[Refusal | None]) -> bool | None:
        recorded = [refusal for refusal in refusals[-len(self._puts) :] if refusal is not None]
        if self._run is not None and refusals[0] is not None:
            raise self._run.lost(refusals[0].item)
        return True if recorded else None
