"""The maximum rate of the server: prepared bodies over bare HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import local
from typing import Any

from benchmarks.writes.bare_http import BATCH, BareHttp, batches, blind_body, check_blind
from benchmarks.writes.contender import Counts, RunSetup, Write, in_threads
from benchmarks.writes.events import item_of
from quill_models import WebhookEvent
from quill_models.dynamodb.items import Condition, RawItem
from quill_models.dynamodb.table import Table

__all__ = ["batch", "transaction"]

_THREADS = 4
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_ACTIONS = 100
_REJECTED = b'"Code":"ConditionalCheckFailed"'


@contextmanager
def batch(setup: RunSetup) -> Iterator[Write]:
    """Write blind batches of 25 on four connections."""
    table = Table(setup.settings)
    items = [item_of(event, table) for event in setup.work.events]
    bodies = [blind_body(setup.settings.table, each) for each in batches(items, BATCH)]
    with _connections(setup) as send:

        def write() -> None:
            for status, response in in_threads(
                _THREADS, lambda body: send("BatchWriteItem", body), bodies
            ):
                check_blind(status, response)

        yield write


@contextmanager
def transaction(setup: RunSetup) -> Iterator[Write]:
    """Write transactions of 100 conditional puts on four connections.

    If some puts of a transaction fail, a prepared transaction sends the others again.
    """
    table = Table(setup.settings)
    known = {event.event_key for event in setup.work.stored}
    groups: list[list[tuple[int, bytes]]] = []
    for events in batches(setup.work.events, _ACTIONS):
        new = [event for event in events if event.event_key not in known]
        groups.append([_body(events, table)])
        if 0 < len(new) < len(events):
            groups[-1].append(_body(new, table))
    with _connections(setup) as send:

        def write_group(group: Sequence[tuple[int, bytes]]) -> Counts:
            created = rejected = 0
            for count, body in group:
                status, response = send("TransactWriteItems", body)
                if status == 200:
                    created += count
                else:
                    rejected += response.count(_REJECTED)
            return Counts(created, rejected)

        def write() -> Counts:
            counts = in_threads(_THREADS, write_group, groups)
            return Counts(
                sum(each.created for each in counts), sum(each.duplicate for each in counts)
            )

        yield write


def _body(events: Sequence[WebhookEvent], table: Table) -> tuple[int, bytes]:
    actions = [_action(item_of(event, table), table) for event in events]
    return len(actions), json.dumps({"TransactItems": actions}).encode()


def _action(item: RawItem, table: Table) -> dict[str, Any]:
    condition = Condition.absent(table.clock()).parameters()
    return {"Put": {"TableName": table.name, "Item": item, **condition}}


@contextmanager
def _connections(setup: RunSetup) -> Iterator[Callable[[str, bytes], tuple[int, bytes]]]:
    """Return a function that sends on one connection per thread."""
    of_thread = local()
    opened: list[BareHttp] = []

    def send(operation: str, body: bytes) -> tuple[int, bytes]:
        if not hasattr(of_thread, "connection"):
            of_thread.connection = BareHttp(setup.settings, setup.meter)
            opened.append(of_thread.connection)
        connection: BareHttp = of_thread.connection
        return connection.send(operation, body)

    yield send
    for connection in opened:
        connection.close()
