"""The applied migrations: one item for each, in the table itself."""

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
    """The stored record of an applied migration.

    Attributes:
        number: Number of the migration.
        name: Name of its module.
        description: Description of the migration.
        checksum: Checksum of the source that was applied.
        applied_at: When it was applied.
        seconds: Duration of the last attempt.
        owner: Host and process of the migrator.
        fencing_token: Token of the migrator's lease; ``None`` if the table was created with the
            changes of this migration.
        seen: Number of items that its backfills read.
        changed: Number of items that its backfills changed.
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
        """Return the item to store."""
        stored = {name: value for name, value in vars(self).items() if value is not None}
        return {
            **raw_key(key_schema.applied_migration(self.number)),
            "kind": {"S": _KIND},
            **{name: to_attribute_value(value, name) for name, value in stored.items()},
        }

    @classmethod
    def from_item(cls, item: RawItem) -> Self:
        """Read a stored item."""
        names = [each.name for each in fields(cls) if each.name in item]
        stored: dict[str, Any] = {name: from_attribute_value(item[name]) for name in names}
        stored.update({name: int(stored[name]) for name in _WHOLE_NUMBERS if name in stored})
        stored["applied_at"] = parse_time(stored["applied_at"])
        return cls(**stored)


class History:
    """The applied migrations of one table, which are never deleted."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def applied(self) -> dict[int, Applied] | None:
        """Return them by number, or ``None`` without a table. One consistent query a page."""
        partition, between = key_schema.applied_migrations()
        try:
            found = Query(self._table, Applied, [partition], between=between)
            return {each.number: each for each in found}
        except TableNotFound:
            return None

    def record(self, applied: Applied, run: Run) -> None:
        """Record a migration if the run still has the lease. One transaction of two actions.

        Raises:
            LeaseLost: Another migrator has the lease. Nothing was written.
        """
        send(self._table, _RecordApplied(self._table, [applied], run))

    def record_created(self, applied: Sequence[Applied]) -> None:
        """Record the migrations of a new table. Existing records stay unchanged."""
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
