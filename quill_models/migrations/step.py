"""The argument of the ``Migration.up`` function of a migration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from quill_models.dynamodb.rate_limit import RateLimit
from quill_models.dynamodb.table import Table
from quill_models.migrations.backfill import Backfill, ItemChange
from quill_models.reads.parallel_scan import Counts, Progress, ScanPosition
from quill_models.repositories import Run
from quill_models.values.errors import InvalidValue

__all__ = ["Listener", "Progress", "Step"]

# Each segment needs one of the client's 32 connections, which other calls share.
_MAX_SEGMENTS = 16


def _silent(*_: object) -> None:
    """Ignore a report."""


@dataclass(frozen=True)
class Listener:
    """Callbacks for the progress of a migrator.

    Attributes:
        report: Called with a line of text for each step, and while waiting.
        progress: Called about twice a second with the progress of a backfill.
    """

    report: Callable[[str], None] = _silent
    progress: Callable[[Progress], None] = _silent


class Step(Counts):
    """The table that a migration changes, with helpers to change it.

    Attributes:
        table: Name of the table.
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
        # A checkpoint of another source text is not valid for this one.
        is_own = all(saved.get(name) == value for name, value in identity.items())
        self._saved: list[dict[str, Any]] = saved.get("backfills", []) if is_own else []

    def _parts(self) -> list[ScanPosition]:
        return self._positions

    @property
    def client(self) -> Any:
        """The botocore client, for calls that `request` does not support. It does not retry."""
        return self._table.client.botocore

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send a request to the table, in DynamoDB's wire format, and return the response.

        It is retried until the deadline of the settings if the table throttles it or fails. So it
        can take effect twice; send only requests that are safe to repeat.

        Args:
            operation: Name of the botocore method, such as "update_item".
            parameters: Parameters of the API. The name of the table is added.

        Cost:
            The request, and its retries.
        """
        return self._table.request(operation, **parameters)

    def report(self, text: str) -> None:
        """Report a ``text`` of one line to the listener of the migrator. No request."""
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
        """Scan the table or an index, and set attributes of its items.

        An item is written on the condition that it was not written since it was read. Otherwise
        ``change`` is called again with the new content. The item keeps its write token. No item
        is created, and expired items are skipped. The position is saved every two seconds; after
        a crash the backfill continues there.

        Args:
            change: Gets an item in DynamoDB's wire format, and returns the attributes to set in
                the same format, or None or an empty mapping. Called in several threads, and
                possibly more than once for an item.
            index: Index to scan instead of the table. Its items may be slightly out of date.
            kind: Value of the attribute ``kind``; other items are skipped.
            segments: Number of parallel segments, 1 to 16.
            write_units: Maximum write units per second. The limit of `Migrations.up` overrides it.

        Raises:
            LeaseLost: Another migrator took over.
            InvalidValue: ``segments`` or ``write_units`` is invalid, or there is no table yet.
            QuillError: An item could not be changed. The message has its key.

        Cost:
            One read unit for each 4 KB scanned of any kind (half of one in an index), and one
            write for each changed item, with its effects on indexes.
        """
        if self._run is None:
            raise InvalidValue(
                "a backfill needs a table; put it into a later migration than create_table"
            )
        if not 1 <= segments <= _MAX_SEGMENTS:
            raise InvalidValue(f"segments is {segments}; use 1 to {_MAX_SEGMENTS}")
        run, at = self._run, len(self._positions)
        if at < len(self._saved):
            position = ScanPosition.saved(self._saved[at], index, segments)
        else:
            position = ScanPosition.beginning(index, segments)
        self._positions.append(position)
        if position.seen:
            self.report(f"continues after {position.seen:,} items")
        rate_limit = RateLimit(write_units if self._write_units is None else self._write_units)
        backfill = Backfill(self._table, change, position, kind, rate_limit, run.check)

        def save() -> None:
            documents = [asdict(each) for each in self._positions]
            run.save_checkpoint({**self._identity, "backfills": documents})

        backfill.run(save, self._listener.progress)
