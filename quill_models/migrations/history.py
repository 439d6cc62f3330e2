"""Which migrations were applied: an item for each, in the table that they were applied to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from quill_models.dynamodb.attribute_values import from_attribute_value, to_attribute_value
from quill_models.dynamodb.items import WRITE_TOKEN, Condition, RawItem, new_token, raw_key
from quill_models.dynamodb.table import Table
from quill_models.models import key_schema
from quill_models.reads.query import Query
from quill_models.repositories import Run
from quill_models.values.errors import TableNotFound
from quill_models.values.keys import parse_time
from quill_models.writes.actions import TRANSACTION_ACTIONS, Put, Refusal
from quill_models.writes.driver import send
from quill_models.writes.write import Write

__all__ = ["Applied", "History"]

_KIND = "migration"
_WHOLE_NUMBERS = ("number", "fencing_token", "seen", "changed")


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
        fencing_token: of the migrator's run; ``None`` if the table was created with all that the
            migration brings.
        seen: how many items its backfills read.
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
        stored = {name: value for name, value in vars(self).items() if value is not None}
        return {
            **raw_key(key_schema.applied_migration(self.number)),
            "kind": {"S": _KIND},
            **{name: to_attribute_value(value, name) for name, value in stored.items()},
        }

    @classmethod
    def from_item(cls, item: RawItem) -> Self:
        """What a stored item says."""
        names = [each.name for each in fields(cls) if each.name in item]
        stored: dict[str, Any] = {name: from_attribute_value(item[name]) for name in names}
        stored.update({name: int(stored[name]) for name in _WHOLE_NUMBERS if name in stored})
        stored["applied_at"] = parse_time(stored["applied_at"])
        return cls(**stored)


class History:
    """What was applied to one table. Kept for ever."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def applied(self) -> dict[int, Applied] | None:
        """By number; ``None`` if there is no table. One strongly consistent request a page."""
        partition, between = key_schema.applied_migrations()
        try:
            found = Query(self._table, Applied, [partition], between=between)
            return {each.number: each for each in found}
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
        puts = [Put({**each.to_item(), **token}, Condition.absent(now)) for each in applied]
        self.actions = puts if run is None else [run.held(), *puts]

    def done(self, stored: RawItem | None = None) -> bool:  # noqa: ARG002
        return True

    def refused(self, refusals: Sequence[Refusal | None]) -> bool | None:
        if self._run is not None and refusals[0] is not None:
            raise self._run.lost(refusals[0].item)
        return True if any(refusals) else None
