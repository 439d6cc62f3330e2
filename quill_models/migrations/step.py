"""What the ``up`` of a migration is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from quill_models.dynamodb.rate_limit import RateLimit
from quill_models.dynamodb.table import Table
from quill_models.migrations.backfill import Backfill, ItemChange
from quill_models.reads.parallel_scan import Progress, ScanPosition
from quill_models.repositories import Run
from quill_models.values.errors import InvalidValue

__all__ = ["Listener", "Progress", "Step"]

# Each is a thread with a connection of the client, which has 32 and is used by others too.
_MOST_SEGMENTS = 16


def _silent(*_: object) -> None:
    """Ignore it."""


@dataclass(frozen=True)
class Listener:
    """Who is told what a migrator does.

    Attributes:
        report: is told in words what is done, or waited for.
        progress: is told how far a backfill is, about twice a second.
    """

    report: Callable[[str], None] = _silent
    progress: Callable[[Progress], None] = _silent


class Step:
    """The table of a migration, and what helps to change it.

    Attributes:
        table: the table's name.
    """

    def __init__(
        self,
        table: Table,
        identity: dict[str, str],
        run: Run | None,
        listener: Listener,
        write_units: float | None = None,
    ) -> None:
        self.table = table.name
        self._table = table
        self._identity = identity
        self._run = run
        self._listener = listener
        self._write_units = write_units
        self._positions: list[ScanPosition] = []
        saved = {} if run is None else run.checkpoint
        # Where the file was mended since, what it did before does not count.
        is_own = all(saved.get(name) == value for name, value in identity.items())
        self._saved: list[dict[str, Any]] = saved.get("backfills", []) if is_own else []

    @property
    def client(self) -> Any:
        """The botocore client, for what `request` cannot do. It sends each request once."""
        return self._table.client.botocore

    @property
    def seen(self) -> int:
        """How many items its backfills read."""
        return sum(each.seen for each in self._positions)

    @property
    def changed(self) -> int:
        """How many items its backfills changed."""
        return sum(each.changed for each in self._positions)

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request on the table, such as ``update_item``, in DynamoDB's wire format.

        Sent again until the settings' deadline while the table throttles it or fails, so that it
        may be done twice: write what can be repeated.

        Args:
            operation: by botocore's name.
            parameters: as the API has them; the table's name is added.
        """
        return self._table.request(operation, **parameters)

    def report(self, text: str) -> None:
        """Say to whoever migrates what is done, as a ``text`` of one line. No request."""
        self._listener.report(text)

    def backfill(
        self,
        change: ItemChange,
        *,
        index: str | None = None,
        kind: str | None = None,
        segments: int = 4,
        write_units: float | None = None,
    ) -> None:
        """Go through the table or an index, and set attributes of its items.

        An item is written on the condition that nobody wrote it since it was read; else
        ``change`` is asked again with what it says by then. It keeps its write token. No item
        comes into being. What has expired is left alone. The place is saved every other second:
        after a crash the walk goes on there.

        Each 4 KB that are walked past cost a read unit (half of one in an index), whatever their
        kind, and each item that is changed a write, with all it does to indexes.

        Args:
            change: is given an item in DynamoDB's wire format, and returns the attributes to set
                in the same format; nothing, or nothing new, where the item needs none. Called in
                several threads, and perhaps more than once for an item.
            index: walk this index instead of the table. What it shows may be a moment old.
            kind: only items whose attribute ``kind`` says this.
            segments: how many parts are walked side by side, 1 to 16.
            write_units: the most that it may write in a second. What whoever migrates says goes
                before it.

        Raises:
            LeaseLost: another migrator took over.
            InvalidValue: no such number of segments or units, or there is no table yet.
            QuillError: an item could not be changed; names its key.
        """
        if self._run is None:
            raise InvalidValue("a backfill needs a table; the migration that creates it has none")
        if not 1 <= segments <= _MOST_SEGMENTS:
            raise InvalidValue(f"segments are {segments}; allowed are 1 to {_MOST_SEGMENTS}")
        run, at = self._run, len(self._positions)
        if at < len(self._saved):
            position = ScanPosition.saved(self._saved[at], index, segments)
        else:
            position = ScanPosition.beginning(index, segments)
        self._positions.append(position)
        if position.seen:
            self.report(f"goes on after {position.seen:,} items")
        rate_limit = RateLimit(write_units if self._write_units is None else self._write_units)
        backfill = Backfill(self._table, change, position, kind, rate_limit, run.check)

        def save() -> None:
            documents = [asdict(each) for each in self._positions]
            run.save_checkpoint({**self._identity, "backfills": documents})

        backfill.run(save, self._listener.progress)
