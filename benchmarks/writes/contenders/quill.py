"""This package: single writes, single writes in threads, and bulk writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from benchmarks.writes.contender import Counts, RunSetup, Write, in_threads
from quill_models import Outcome, Quill, WebhookEvent, WriteResult, connect

__all__ = ["record", "record_in_threads", "record_many", "record_many_cost"]

_THREADS = 8


@contextmanager
def record(setup: RunSetup) -> Iterator[Write]:
    """Record each event."""
    with _connected(setup) as quill:
        yield lambda: _counts(map(quill.webhook_events.record, setup.work.events))


@contextmanager
def record_in_threads(setup: RunSetup) -> Iterator[Write]:
    """Record each event in eight threads, with conditional puts instead of transactions."""
    with _connected(setup) as quill:
        yield lambda: _counts(in_threads(_THREADS, quill.webhook_events.record, setup.work.events))


@contextmanager
def record_many(setup: RunSetup) -> Iterator[Write]:
    """Record all events in bulk."""
    with _connected(setup) as quill:
        yield lambda: _counts(quill.webhook_events.record_many(setup.work.events))


@contextmanager
def record_many_cost(setup: RunSetup) -> Iterator[Write]:
    """Record all events in bulk with the fewest write units."""
    with _connected(setup) as quill:
        yield lambda: _counts(quill.webhook_events.record_many(setup.work.events, prefer="cost"))


@contextmanager
def _connected(setup: RunSetup) -> Iterator[Quill]:
    with connect(setup.settings) as quill:
        # Opens the first connection.
        quill.webhook_events.get("hubspot", "none")
        setup.meter.attach(quill.schema.client.botocore)
        yield quill


def _counts(results: Iterable[WriteResult[WebhookEvent]]) -> Counts:
    outcomes = [result.outcome for result in results]
    # A conflict counts as neither, so the check of the sums finds it.
    return Counts(outcomes.count(Outcome.CREATED), outcomes.count(Outcome.DUPLICATE))
