"""The state machine of webhook events."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import strategies as st

from quill_models import EventStatus
from tests.local_dynamo.stateful.environment import RETENTION
from tests.local_dynamo.stateful.machine import TableMachine
from tests.local_dynamo.stateful.model import Collection, Kind, Row, TableModel
from tests.local_dynamo.stateful.reads import Listing, Lookup, Read, row_or_none
from tests.local_dynamo.stateful.strategies import PREFER, bulk, rows, single
from tests.local_dynamo.support import NOON, SECOND

EVENTS = "webhook_events"
SOURCES, KEYS, OBJECTS = ("h", "p"), ("1", "10", "1#"), ("7", "8")
KIND = Kind(("source", "event_key"), digest="digest", retention=RETENTION)
BY_DUE_TIME = ("pending", "processing")

TIMES = (NOON, NOON + SECOND, NOON + 2 * SECOND)
CONTENTS = [
    {
        "event_type": "contact.creation",
        "object_type": "contact" if object_id else None,
        "object_id": object_id or "7",
        "occurred_at": occurred_at,
        "received_at": received_at,
        "payload": {"a": number},
        "status": status,
    }
    for object_id, occurred_at, received_at, number, status in product(
        (*OBJECTS, None), TIMES, TIMES, (1, 2), ("pending", "pending", "failed", "processed")
    )
]
EVENT_ROWS = rows({"source": SOURCES, "event_key": KEYS}, CONTENTS)


def sort_time(row: Row) -> Any:
    return row["received_at"] if row["status"] in BY_DUE_TIME else row["occurred_at"]


def get(source: str, key: str) -> Lookup:
    return Lookup(
        f"get({source!r}, {key!r})",
        lambda quill: row_or_none(quill.webhook_events.get(source, key)),
        lambda table, now: table[EVENTS].live(now).get((source, key)),
    )


def by_status(source: str, status: str, newest_first: bool) -> Listing:
    return Listing(
        f"list_by_status({source!r}, {status!r}, newest_first={newest_first})",
        lambda quill: quill.webhook_events.list_by_status(
            source, status, newest_first=newest_first
        ),
        EVENTS,
        lambda row: (row["source"], row["status"]) == (source, status),
        sort_time,
        newest_first,
    )


def by_object(source: str, object_id: str, newest_first: bool) -> Listing:
    return Listing(
        f"list_by_object({source!r}, 'contact', {object_id!r}, newest_first={newest_first})",
        lambda quill: quill.webhook_events.list_by_object(
            source, "contact", object_id, newest_first=newest_first
        ),
        EVENTS,
        lambda row: (
            (row["source"], row["object_type"], row["object_id"]) == (source, "contact", object_id)
        ),
        lambda row: row["occurred_at"],
        newest_first,
    )


LISTINGS = [
    list_by(source, of, newest_first)
    for newest_first in (False, True)
    for list_by, values in ((by_status, list(EventStatus)), (by_object, OBJECTS))
    for source in SOURCES
    for of in values
]
FULL_LISTS = [listing for listing in LISTINGS if not listing.newest_first]
LOOKUPS: list[Read] = [get(source, key) for source in SOURCES for key in KEYS]


class EventsMachine(TableMachine):
    single_calls = single(EVENTS, "record", EVENT_ROWS)
    calls = single_calls | bulk(EVENTS, "record", EVENT_ROWS, PREFER)
    listings = st.sampled_from(LISTINGS)
    reads = st.one_of(st.sampled_from(LOOKUPS), listings)
    final_reads = FULL_LISTS

    def empty(self) -> TableModel:
        return TableModel({EVENTS: Collection(KIND)})
