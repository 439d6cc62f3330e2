"""How much the server does for a client that costs nothing: prepared bodies over bare HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import local
from typing import Any

from benchmarks.writes.bare_http import BATCH, BareHttp, batches, blind_body, check_blind
from benchmarks.writes.contender import Site, Told, Write, in_threads
from benchmarks.writes.events import item_of
from quill_models import WebhookEvent
from quill_models.dynamodb.items import Condition, RawItem
from quill_models.dynamodb.table import Table

__all__ = ["batch", "transaction"]

_THREADS = 4
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_ACTIONS = 100
_REFUSED = b'"Code":"ConditionalCheckFailed"'


@contextmanager
def batch(site: Site) -> Iterator[Write]:
    """Blind batches of 25 on four connections."""
    table = Table(site.settings)
    items = [item_of(event, table) for event in site.work.events]
    bodies = [blind_body(site.settings.table, each) for each in batches(items, BATCH)]
    with _connections(site) as send:

        def write() -> None:
            for status, answer in in_threads(
                _THREADS, lambda body: send("BatchWriteItem", body), bodies
            ):
                check_blind(status, answer)

        yield write


@contextmanager
def transaction(site: Site) -> Iterator[Write]:
    """A hundred conditional puts in a transaction, on four connections.

    Where some are refused, the others are sent once more: which these are is known beforehand.
    """
    table = Table(site.settings)
    known = {event.event_key for event in site.work.stored}
    groups: list[list[tuple[int, bytes]]] = []
    for events in batches(site.work.events, _ACTIONS):
        new = [event for event in events if event.event_key not in known]
        groups.append([_body(events, table)])
        if 0 < len(new) < len(events):
            groups[-1].append(_body(new, table))
    with _connections(site) as send:

        def write_group(group: Sequence[tuple[int, bytes]]) -> Told:
            created = refused = 0
            for count, body in group:
                status, answer = send("TransactWriteItems", body)
                if status == 200:
                    created += count
                else:
                    refused += answer.count(_REFUSED)
            return Told(created, refused)

        def write() -> Told:
            told = in_threads(_THREADS, write_group, groups)
            return Told(sum(each.created for each in told), sum(each.duplicate for each in told))

        yield write


def _body(events: Sequence[WebhookEvent], table: Table) -> tuple[int, bytes]:
    actions = [_action(item_of(event, table), table) for event in events]
    return len(actions), json.dumps({"TransactItems": actions}).encode()


def _action(item: RawItem, table: Table) -> dict[str, Any]:
    condition = Condition.absent(table.clock()).parameters()
    return {"Put": {"TableName": table.name, "Item": item, **condition}}


@contextmanager
def _connections(site: Site) -> Iterator[Callable[[str, bytes], tuple[int, bytes]]]:
    """What sends on a connection of each thread's own."""
    of_thread = local()
    opened: list[BareHttp] = []

    def send(operation: str, body: bytes) -> tuple[int, bytes]:
        if not hasattr(of_thread, "connection"):
            of_thread.connection = BareHttp(site.settings, site.meter)
            opened.append(of_thread.connection)
        connection: BareHttp = of_thread.connection
        return connection.send(operation, body)

    yield send
    for connection in opened:
        connection.close()
