"""Where the items of an export come from: all of the table, or the days that are asked for.

Both give items in DynamoDB's wire format, without what has expired; `s3_export` is the third.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from queue import Empty, Full, Queue
from typing import Any

from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.pages import RawPage
from quill_models.dynamodb.rate_limit import RateLimit
from quill_models.dynamodb.service_errors import other_schema
from quill_models.dynamodb.table import Table
from quill_models.export.spill import identity_of
from quill_models.models import (
    Agent,
    AgentStatus,
    EventStatus,
    Interaction,
    JobRun,
    JobStatus,
    Metric,
    WebhookEvent,
)
from quill_models.quill import Quill
from quill_models.reads.parallel_scan import ParallelScan, Progress, ScanPosition
from quill_models.reads.query import Query
from quill_models.schema.declared import declared_table, hash_first
from quill_models.values.clock import utc_day
from quill_models.values.errors import InvalidValue

__all__ = [
    "DEFAULT_SEGMENTS",
    "Days",
    "ExportInput",
    "ReportProgress",
    "counted",
    "days_of",
    "scan_of",
]

# More read faster, as far as the table and this machine's cores go.
DEFAULT_SEGMENTS = 4
_MOST_SEGMENTS = 32
# Small pages: those of all segments are in memory, four and more at a time.
_PAGE = 250
_WAIT_SECONDS = 0.1
_REPORT_EVERY = 1_000

ReportProgress = Callable[[Progress], object]

# In the order in which they are read. Work that is not done with is read before the rest and once
# more after it: what moves between the lists meanwhile is met at least once.
_AGENTS = (AgentStatus.ACTIVE, AgentStatus.INACTIVE, AgentStatus.ACTIVE)
_RUNS_DONE = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SUCCEEDED)
_EVENTS_WAITING = (EventStatus.PENDING, EventStatus.PROCESSING)
_EVENTS_DONE = (EventStatus.FAILED, EventStatus.DEAD, EventStatus.PROCESSED)


@dataclass(frozen=True)
class Days:
    """The UTC days from ``since`` (inclusive) to ``until`` (exclusive), at least one."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if utc_day(self.since) >= utc_day(self.until):
            raise InvalidValue(
                f"there is no day from {self.since} until before {self.until}; until has to be "
                "the later one"
            )

    def __iter__(self) -> Iterator[date]:
        for number in range((self.until - self.since).days):
            yield self.since + timedelta(days=number)

    def __contains__(self, day: object) -> bool:
        """Whether a day, as its text, is one of them."""
        return self.since.isoformat() <= str(day) < self.until.isoformat()

    @property
    def between(self) -> tuple[datetime, datetime]:
        """When the first one begins, and when the last one has ended."""
        since, until = (datetime.combine(day, time(), UTC) for day in (self.since, self.until))
        return since, until


@dataclass(frozen=True)
class ExportInput:
    """Items to export.

    Attributes:
        items: in any order. Close it if it is not read to its end.
        described: what the manifest says of where they come from.
        sources: those of the webhook events that were asked for; a scan finds all.
        latest: when it is read, for some identities when they were updated last; see `Spill.days`.
        assumed_sources: those that neither the folder nor the caller named.
    """

    items: Generator[RawItem]
    described: dict[str, Any]
    sources: Collection[str] = ()
    latest: dict[str, str] = field(default_factory=dict)
    assumed_sources: Collection[str] = ()


def counted(
    items: Iterator[RawItem], total: int | None, report: ReportProgress
) -> Generator[RawItem]:
    """The same items; ``report`` is called for each thousandth, and for the last."""
    number = 0
    for number, item in enumerate(items, start=1):
        yield item
        if number % _REPORT_EVERY == 0:
            report(Progress(number, total))
    report(Progress(number, total))


def scan_of(
    table: Table,
    kinds: Collection[str],
    report: ReportProgress,
    *,
    segments: int = DEFAULT_SEGMENTS,
    read_units: float | None = None,
) -> ExportInput:
    """Every item of some kinds, by a parallel scan, which pays for all items that there are.

    Eventually consistent, at half a read unit for each 4 KB. One request for `DescribeTable` now.

    Raises:
        InvalidValue: no such number of segments or units.
        SchemaMismatch: the table has other keys.
    """
    if not 1 <= segments <= _MOST_SEGMENTS:
        raise InvalidValue(f"segments is {segments}; allowed are 1 to {_MOST_SEGMENTS}")
    rate_limit = RateLimit(read_units)
    live = table.request("describe_table")["Table"]
    if hash_first(live["KeySchema"]) != declared_table()["KeySchema"]:
        # It would be exported as an empty one.
        raise other_schema("its key schema is another", table.settings)
    # A segment waits if its pages are not taken.
    pages: Queue[RawPage] = Queue(segments)

    def put(page: RawPage) -> int:
        while not scan.stopped.is_set():
            with suppress(Full):
                pages.put(page, timeout=_WAIT_SECONDS)
                break
        return 0

    scan = ParallelScan(
        table,
        put,
        ScanPosition.beginning(None, segments),
        kinds=kinds,
        page_items=_PAGE,
        rate_limit=rate_limit,
    )

    def items(total: int) -> Generator[RawItem]:
        seen = 0
        with scan:
            while not (scan.wait(0) and pages.empty()):
                try:
                    page = pages.get(timeout=_WAIT_SECONDS)
                except Empty:
                    continue
                yield from page.items
                seen += page.scanned
                # More than was expected may turn up: on AWS the expectation is hours old.
                report(Progress(seen, max(seen, total)))

    return ExportInput(items(int(live["ItemCount"])), {"kind": "scan", "table": table.name})


def days_of(
    quill: Quill,
    kinds: Collection[str],
    days: Days,
    sources: Collection[str],
    report: ReportProgress,
) -> ExportInput:
    """The items of some days and all agents. Events that wait, listed by due time, are all read.

    Raises:
        InvalidValue: there is no list by day of one of the kinds.
    """
    described = {"kind": "days", "table": quill.settings.table}
    latest: dict[str, str] = {}
    readers = {
        Agent.KIND: lambda: _items(map(quill.agents.list_by_status, _AGENTS)),
        Interaction.KIND: lambda: _items(map(quill.interactions.list_by_day, days)),
        Metric.KIND: lambda: _items(map(quill.metrics.list_by_day, days)),
        JobRun.KIND: lambda: _job_runs(quill, days, latest),
        WebhookEvent.KIND: lambda: _events(quill, days, sources),
    }
    if unread := sorted(set(kinds) - readers.keys()):
        raise InvalidValue(
            f"the days of the kind {unread[0]!r} cannot be read by themselves. Export the whole "
            f"table, without since; or give other kinds, of {', '.join(readers)}"
        )
    items = (item for kind in readers if kind in kinds for item in readers[kind]())
    return ExportInput(counted(items, None, report), described, sources, latest)


def _items(lists: Iterable[Query[Any]]) -> Iterator[RawItem]:
    for each in lists:
        yield from each.raw_items()


def _job_runs(quill: Quill, days: Days, latest: dict[str, str]) -> Iterator[RawItem]:
    def of(*statuses: JobStatus) -> Iterator[RawItem]:
        return _items(quill.job_runs.list_by_status(each, *days.between) for each in statuses)

    def running() -> Iterator[RawItem]:
        # A window that failed and is run again has another start, and may have another day.
        for item in of(JobStatus.RUNNING):
            latest[identity_of(item)] = item.get("updated_at", {}).get("S", "")
            yield item

    yield from running()
    yield from of(*_RUNS_DONE)
    yield from running()


def _events(quill: Quill, days: Days, sources: Collection[str]) -> Iterator[RawItem]:
    list_of = quill.webhook_events.list_by_status

    def waiting(source: str) -> Iterator[RawItem]:
        for item in _items(list_of(source, status) for status in _EVENTS_WAITING):
            if item.get("occurred_at", {}).get("S", "")[:10] in days:
                yield item

    for source in sorted(sources):
        yield from waiting(source)
        yield from _items(list_of(source, status, *days.between) for status in _EVENTS_DONE)
        yield from waiting(source)
