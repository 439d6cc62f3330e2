"""The parallel scan of the table or an index: a thread for each segment, which can continue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Self

from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.pages import RawPage
from quill_models.dynamodb.rate_limit import RateLimit
from quill_models.dynamodb.table import Table
from quill_models.telemetry.operations import Threads

__all__ = ["Counts", "ParallelScan", "Progress", "ScanPosition", "SegmentPosition"]


@dataclass(frozen=True)
class SegmentPosition:
    """The position in one segment: the key before its next page, and the counts so far."""

    start: RawItem | None = None
    ended: bool = False
    seen: int = 0
    changed: int = 0


class Counts:
    """Counts of items, summed over the parts of a scan or of several scans."""

    def _parts(self) -> Sequence[Any]:
        raise NotImplementedError

    @property
    def seen(self) -> int:
        """The number of items read."""
        return sum(part.seen for part in self._parts())

    @property
    def changed(self) -> int:
        """The number of items changed."""
        return sum(part.changed for part in self._parts())


@dataclass(frozen=True)
class ScanPosition(Counts):
    """The positions in all segments of a scan of the table or an index.

    The thread of a segment replaces its position, so any thread can read it.
    """

    index: str | None
    segments: list[SegmentPosition]

    @classmethod
    def beginning(cls, index: str | None, segments: int) -> Self:
        """Return the position of a scan that has read nothing."""
        return cls(index, [SegmentPosition()] * segments)

    @classmethod
    def saved(cls, document: Mapping[str, Any], index: str | None, segments: int) -> Self:
        """Read a position from its ``asdict``, or begin if it is from another scan."""
        saved = cls(document["index"], [SegmentPosition(**each) for each in document["segments"]])
        fits = saved.index == index and len(saved.segments) == segments
        return saved if fits else cls.beginning(index, segments)

    def _parts(self) -> list[SegmentPosition]:
        return self.segments


@dataclass(frozen=True)
class Progress:
    """The progress of an export or a backfill.

    Attributes:
        seen: Number of items read, also of those not exported or changed, and of those that earlier
            attempts of a backfill read.
        total: Approximate number of items from ``DescribeTable``, hours old on AWS. ``None`` if
            unknown.
        changed: Number of items that a backfill changed.
        rate: Items a second that this attempt of a backfill reads.
        left: Approximate seconds that a backfill still takes. ``None`` if unknown.
    """

    seen: int
    total: int | None
    changed: int = 0
    rate: float = 0.0
    left: float | None = None

    @property
    def items(self) -> int:
        """Another name of ``seen``."""
        return self.seen

    @classmethod
    def of(cls, position: ScanPosition, total: int, begun_with: int, seconds: float) -> Self:
        """Return the progress at ``position`` of ``total`` after ``seconds``.

        ``begun_with`` items were seen before.
        """
        seen = position.seen
        rate = (seen - begun_with) / seconds if seconds > 0 else 0.0
        if all(segment.ended for segment in position.segments):
            return cls(seen, seen, position.changed, rate, 0.0)
        # If there are more items than expected, the rest is unknown.
        left = (total - seen) / rate if rate > 0 and total > seen else None
        return cls(seen, max(total, seen), position.changed, rate, left)


@dataclass
class ParallelScan:
    """One scan. Entering its block starts the threads. Leaving it stops and joins them.

    Args:
        table: The table to read.
        on_page: Called with each page in the thread of its segment. Returns the number of items it
            changed. Can return early after the scan was stopped.
        position: The start. It moves past a page when ``on_page`` has returned.
        kinds: The kinds of items; ``None`` for all.
        page_items: Maximum number of items that a request reads.
        consistent: Whether reads are strongly consistent, which an index does not support.
        rate_limit: Limit for read units; by default no limit.

    Attributes:
        stopped: Set when the block is left.
    """

    table: Table
    on_page: Callable[[RawPage], int]
    position: ScanPosition
    kinds: Collection[str] | None
    page_items: int
    consistent: bool = False
    rate_limit: RateLimit = field(default_factory=lambda: RateLimit(None))
    stopped: Event = field(default_factory=Event, init=False)
    _running: set[Future[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._pool = Threads(len(self.position.segments), "quill-scan")

    def __enter__(self) -> Self:
        segments = range(len(self.position.segments))
        self._running = {self._pool.submit(self._read, segment) for segment in segments}
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._pool.shutdown()

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the end, and return whether all segments have ended.

        Raises the error of a segment.
        """
        ended, self._running = wait(self._running, seconds, FIRST_EXCEPTION)
        for segment in ended:
            segment.result()
        return not self._running

    def _read(self, number: int) -> None:
        segments = self.position.segments
        while not segments[number].ended and self.rate_limit.wait(self.stopped):
            read = segments[number]
            page = self.table.scan(
                self.kinds,
                segment=number,
                segments=len(segments),
                limit=self.page_items,
                index=self.position.index,
                consistent=self.consistent,
                start=read.start,
            )
            self.rate_limit.consume(page.read_units)
            changed = self.on_page(page)
            if self.stopped.is_set():
                # The page may be used in part only, so it is read again.
                return
            segments[number] = SegmentPosition(
                page.start, page.start is None, read.seen + page.scanned, read.changed + changed
            )
