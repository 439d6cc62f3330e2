"""The state machine of metrics, which are put and added to."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from itertools import product

from hypothesis import strategies as st

from tests.local_dynamo.stateful.environment import RETENTION
from tests.local_dynamo.stateful.machine import TableMachine
from tests.local_dynamo.stateful.model import Buckets, Kind, Row, TableModel
from tests.local_dynamo.stateful.reads import Listing, is_between
from tests.local_dynamo.stateful.strategies import NO_OPTIONS, PREFER, bulk, rows, single
from tests.local_dynamo.support import HOUR, NOON, SECOND

METRICS, NAME = "metrics", "calls"
SCOPES, GRAINS = ("global", "agent:1", "agent:10"), ("hour", "day")
STARTS = (NOON - 12 * HOUR, NOON + 12 * HOUR)
KIND = Kind(
    ("scope", "name", "grain", "bucket_start"), "computed_at", increment_retention=RETENTION
)

BUCKET_IDENTITY = {"scope": SCOPES, "name": (NAME,), "grain": GRAINS, "bucket_start": STARTS}
BUCKET_CONTENTS: list[Row] = [
    {"value": value, "unit": unit, "dimensions": dimensions, "computed_at": computed_at}
    for value, unit, dimensions, computed_at in product(
        (0, 1, Decimal("2.5")),
        (None, "calls"),
        ({}, {"team": "north"}),
        (None, NOON, NOON + SECOND, NOON + 2 * SECOND),
    )
]
INCREMENT_IDENTITY = {
    "event_key": ("e1", "e2", "e1#"),
    "scope": SCOPES[:2],
    "name": (NAME,),
    "grain": GRAINS,
}
INCREMENT_CONTENTS: list[Row] = [
    {"at": at, "amount": amount}
    for at in (STARTS[0], STARTS[0] + SECOND, STARTS[1] + SECOND)
    for amount in (1, Decimal("0.1"), -3)
]
BUCKET_ROWS, INCREMENT_ROWS = (
    rows(BUCKET_IDENTITY, BUCKET_CONTENTS),
    rows(INCREMENT_IDENTITY, INCREMENT_CONTENTS),
)


def series(
    scope: str, grain: str, since: datetime | None, until: datetime | None, newest_first: bool
) -> Listing:
    return Listing(
        f"series({scope!r}, {grain!r}, {since}, {until}, newest_first={newest_first})",
        lambda quill: quill.metrics.series(
            scope, NAME, grain, since, until, newest_first=newest_first
        ),
        METRICS,
        lambda row: (
            (row["scope"], row["grain"]) == (scope, grain)
            and is_between(row["bucket_start"], since, until)
        ),
        lambda row: row["bucket_start"],
        newest_first,
    )


def across(grain: str, start: datetime) -> Listing:
    return Listing(
        f"across({grain!r}, {start})",
        lambda quill: quill.metrics.across(NAME, grain, start),
        METRICS,
        lambda row: (row["grain"], row["bucket_start"]) == (grain, start),
        lambda row: row["scope"],
    )


def by_day(day: date, newest_first: bool) -> Listing:
    return Listing(
        f"list_by_day({day}, newest_first={newest_first})",
        lambda quill: quill.metrics.list_by_day(day, newest_first=newest_first),
        METRICS,
        lambda row: row["bucket_start"].date() == day,
        lambda row: (row["bucket_start"], row["scope"], row["name"], row["grain"]),
        newest_first,
    )


FULL_LISTS = [
    *(series(scope, grain, None, None, newest_first=False) for scope in SCOPES for grain in GRAINS),
    *(across(grain, start) for grain in GRAINS for start in STARTS),
    *(by_day(start.date(), newest_first) for start in STARTS for newest_first in (False, True)),
]
ENDS = st.sampled_from((None, *STARTS, STARTS[0] + SECOND))


class MetricsMachine(TableMachine):
    single_calls = single(METRICS, "put", BUCKET_ROWS) | single(METRICS, "add", INCREMENT_ROWS)
    calls = (
        single_calls
        | bulk(METRICS, "put", BUCKET_ROWS, PREFER)
        | bulk(METRICS, "add", INCREMENT_ROWS, NO_OPTIONS)
    )
    listings = st.sampled_from(FULL_LISTS) | st.builds(
        series, st.sampled_from(SCOPES), st.sampled_from(GRAINS), ENDS, ENDS, st.booleans()
    )
    reads = listings
    final_reads = FULL_LISTS

    def empty(self) -> TableModel:
        return TableModel({METRICS: Buckets(KIND)})
