"""The parallel scan: a thread for each segment of the table or an index, continued where it was."""

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
    """How far one segment was read: the key before its next page, and what came of the others."""

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
        """Number of items read."""
        return sum(part.seen for part in self._parts())

    @property
    def changed(self) -> int:
        """Number of items changed."""
        return sum(part.changed for part in self._parts())


@dataclass(frozen=True)
class ScanPosition(Counts):
    """How far all segments of a scan of the table, or of an index, were read.

    The thread of a segment replaces its position as a whole, so any thread may read it.
    """

    index: str | None
    segments: list[SegmentPosition]

    @classmethod
    def beginning(cls, index: str | None, segments: int) -> Self:
        """The position of a scan that has read nothing."""
        return cls(index, [SegmentPosition()] * segments)

    @classmethod
    def saved(cls, document: Mapping[str, Any], index: str | None, segments: int) -> Self:
        """A position from its ``asdict``; the beginning, if it is that of another scan."""
        saved = cls(document["index"], [SegmentPosition(**each) for each in document["segments"]])
        fits = saved.index == index and len(saved.segments) == segments
        return saved if fits else cls.beginning(index, segments)

    def _parts(self) -> list[SegmentPosition]:
        return self.segments


@dataclass(frozen=True)
class Progress:
    """How far an export or a backfill is.

    Attributes:
        seen: how many items were read, including those that are not exported or changed, and those
            that earlier attempts of a backfill read.
        total: about how many there are, as ``DescribeTable`` says, on AWS hours old; ``None`` if
            nobody knows.
        changed: how many items a backfill changed.
        rate: items a second that this attempt of a backfill reads.
        left: about how many seconds a backfill still takes; ``None`` if unknown.
    """

    seen: int
    total: int | None
    changed: int = 0
    rate: float = 0.0
    left: float | None = None

    @property
    def items(self) -> int:
        """The same as ``seen``."""
        return self.seen

    @classmethod
    def of(cls, position: ScanPosition, total: int, begun_with: int, seconds: float) -> Self:
        """The progress at a position after ``seconds``, with ``begun_with`` items seen before."""
        seen = position.seen
        rate = (seen - begun_with) / seconds if seconds > 0 else 0.0
        if all(segment.ended for segment in position.segments):
            return cls(seen, seen, position.changed, rate, 0.0)
        # If there are more items than expected, nobody knows how many more.
        left = (total - seen) / rate if rate > 0 and total > seen else None
        return cls(seen, max(total, seen), position.changed, rate, left)


@dataclass
class ParallelScan:
    """One scan. Entering its block starts the threads; leaving it stops and awaits them.

    Args:
        table: what to read.
        on_page: is called with each page, in the thread of its segment. Returns how many items of
            the page it changed. May return early once the scan is stopped.
        position: from where to read. Moves past a page when ``on_page`` has returned.
        kinds: which items; ``None`` for all.
        page_items: the maximum number of items that a request reads.
        consistent: whether reads are strongly consistent, which an index does not support.
        rate_limit: the limit for read units; by default none.

    Attributes:
        stopped: is set when the block is left.
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
        """Wait for the end, at most some seconds. Raises the error of a segment.

        Returns:
            Whether all segments have ended.
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
            self.rate_limit.took(page.read_units)
            changed = self.on_page(page)
            if self.stopped.is_set():
                # Maybe not all of the page was used: it is read again.
                return
            segments[number] = SegmentPosition(
                page.start, page.start is None, read.seen + page.scanned, read.changed + changed
            )
