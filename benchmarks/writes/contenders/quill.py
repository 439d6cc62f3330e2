"""This package: one by one, in bulk either way, and one by one in threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from benchmarks.writes.contender import Site, Told, Write, in_threads
from quill_models import Outcome, Quill, WebhookEvent, WriteResult, connect

__all__ = ["record", "record_in_threads", "record_many", "record_many_cost"]

_THREADS = 8


@contextmanager
def record(site: Site) -> Iterator[Write]:
    """``record`` for each event."""
    with _connected(site) as quill:
        yield lambda: _told(map(quill.webhook_events.record, site.work.events))


@contextmanager
def record_in_threads(site: Site) -> Iterator[Write]:
    """``record`` for each event, eight at a time: conditional puts instead of transactions."""
    with _connected(site) as quill:
        yield lambda: _told(in_threads(_THREADS, quill.webhook_events.record, site.work.events))


@contextmanager
def record_many(site: Site) -> Iterator[Write]:
    """``record_many`` of all events."""
    with _connected(site) as quill:
        yield lambda: _told(quill.webhook_events.record_many(site.work.events))


@contextmanager
def record_many_cost(site: Site) -> Iterator[Write]:
    """``record_many`` of all events at the fewest write units."""
    with _connected(site) as quill:
        yield lambda: _told(quill.webhook_events.record_many(site.work.events, prefer="cost"))


@contextmanager
def _connected(site: Site) -> Iterator[Quill]:
    with connect(site.settings) as quill:
        # Opens the first connection.
        quill.webhook_events.get("hubspot", "none")
        site.meter.listen(quill.schema.client.botocore)
        yield quill


def _told(results: Iterable[WriteResult[WebhookEvent]]) -> Told:
    outcomes = [result.outcome for result in results]
    # A conflict would be counted as neither, and the sums would not be right.
    return Told(outcomes.count(Outcome.CREATED), outcomes.count(Outcome.DUPLICATE))
