"""The items of an export, from a scan of the table or from the lists of single days.

Both yield unexpired items in DynamoDB's wire format. `s3_export` is the third input.
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
from quill_models.export.external_sort import identity_of
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
    "days_input",
    "reported",
    "scan_input",
]

# More segments are faster, up to the capacity of the table and the cores of this machine.
DEFAULT_SEGMENTS = 4
_MAX_SEGMENTS = 32
# Memory holds at least one page of each segment.
_PAGE = 250
_WAIT_SECONDS = 0.1
_REPORT_EVERY = 1_000

ReportProgress = Callable[[Progress], object]

# In reading order. Unfinished work is read before and after the rest, so that an item that moves
# between the lists meanwhile is read at least once.
_AGENTS = (AgentStatus.ACTIVE, AgentStatus.INACTIVE, AgentStatus.ACTIVE)
_FINISHED_RUNS = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SUCCEEDED)
_QUEUED_EVENTS = (EventStatus.PENDING, EventStatus.PROCESSING)
_FINISHED_EVENTS = (EventStatus.FAILED, EventStatus.DEAD, EventStatus.PROCESSED)


@dataclass(frozen=True)
class Days:
    """The UTC days from ``since`` (inclusive) to ``until`` (exclusive), at least one."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if utc_day(self.since) >= utc_day(self.until):
            raise InvalidValue(
                f"until must be later than since {self.since}, got {self.until}. Give a later day."
            )

    def __iter__(self) -> Iterator[date]:
        for number in range((self.until - self.since).days):
            yield self.since + timedelta(days=number)

    def __contains__(self, day: object) -> bool:
        """Return whether an ISO 8601 day is in the range."""
        return self.since.isoformat() <= str(day) < self.until.isoformat()

    @property
    def between(self) -> tuple[datetime, datetime]:
        """The start of the first day and the end of the last one."""
        since, until = (datetime.combine(day, time(), UTC) for day in (self.since, self.until))
        return since, until


@dataclass(frozen=True)
class ExportInput:
    """Items to export.

    Attributes:
        items: The items in any order. Close the generator if you do not exhaust it.
        origin: Description of the input in the manifest.
        sources: Sources whose webhook events were read. Empty for a scan, which reads all.
        latest: After ``items`` is exhausted, the argument of `ExternalSort.days`.
        assumed_sources: Sources that neither the folder nor the caller named.
    """

    items: Generator[RawItem]
    origin: dict[str, Any]
    sources: Collection[str] = ()
    latest: dict[str, str] = field(default_factory=dict)
    assumed_sources: Collection[str] = ()


def reported(
    items: Iterator[RawItem], total: int | None, report: ReportProgress
) -> Generator[RawItem]:
    """Yield the same items, and call ``report`` every thousand items and at the end."""
    number = 0
    for number, item in enumerate(items, start=1):
        yield item
        if number % _REPORT_EVERY == 0:
            report(Progress(number, total))
    report(Progress(number, total))


def scan_input(
    table: Table,
    kinds: Collection[str],
    report: ReportProgress,
    *,
    segments: int = DEFAULT_SEGMENTS,
    read_units: float | None = None,
) -> ExportInput:
    """Return every item of some kinds, by an eventually consistent parallel scan.

    Raises:
        InvalidValue: ``segments`` or ``read_units`` is out of range.
        SchemaMismatch: The table has other keys.

    Cost:
        Half a read unit for each 4 KB of the complete table, and one `DescribeTable` request.
    """
    if not 1 <= segments <= _MAX_SEGMENTS:
        raise InvalidValue(f"segments must be 1 to {_MAX_SEGMENTS}, got {segments}")
    rate_limit = RateLimit(read_units)
    live = table.request("describe_table")["Table"]
    if hash_first(live["KeySchema"]) != declared_table()["KeySchema"]:
        # Without this check its items would be skipped, and the export would be empty.
        raise other_schema("its key schema is another", table.settings)
    # A full queue blocks the segments.
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
                # AWS's item count is hours old, so the scan can read more items.
                report(Progress(seen, max(seen, total)))

    return ExportInput(items(int(live["ItemCount"])), {"kind": "scan", "table": table.name})


def days_input(
    quill: Quill,
    kinds: Collection[str],
    days: Days,
    sources: Collection[str],
    report: ReportProgress,
) -> ExportInput:
    """Return the items of some days and all agents, from their lists.

    Raises:
        InvalidValue: One of the kinds has no list by day.

    Cost:
        Queries of these lists, of which those of pending and processing events are read completely.
    """
    origin = {"kind": "days", "table": quill.settings.table}
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
            f"Items of kind {unread[0]} cannot be read by day. Omit since to export the complete "
            f"table, or choose from the kinds {', '.join(readers)}."
        )
    items = (item for kind in readers if kind in kinds for item in readers[kind]())
    return ExportInput(reported(items, None, report), origin, sources, latest)


def _items(lists: Iterable[Query[Any]]) -> Iterator[RawItem]:
    for each in lists:
        yield from each.raw_items()


def _job_runs(quill: Quill, days: Days, latest: dict[str, str]) -> Iterator[RawItem]:
    def of(*statuses: JobStatus) -> Iterator[RawItem]:
        return _items(quill.job_runs.list_by_status(each, *days.between) for each in statuses)

    def running() -> Iterator[RawItem]:
        # A new attempt of a failed window starts later, and can be on another day.
        for item in of(JobStatus.RUNNING):
            latest[identity_of(item)] = item.get("updated_at", {}).get("S", "")
            yield item

    yield from running()
    yield from of(*_FINISHED_RUNS)
    yield from running()


def _events(quill: Quill, days: Days, sources: Collection[str]) -> Iterator[RawItem]:
    list_of = quill.webhook_events.list_by_status

    def queued(source: str) -> Iterator[RawItem]:
        for item in _items(list_of(source, status) for status in _QUEUED_EVENTS):
            if item.get("occurred_at", {}).get("S", "")[:10] in days:
                yield item

    for source in sorted(sources):
        yield from queued(source)
        yield from _items(list_of(source, status, *days.between) for status in _FINISHED_EVENTS)
        yield from queued(source)
