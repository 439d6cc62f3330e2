"""Powertools for AWS Lambda: its idempotency decorator around a function that returns the event.

Its items have another form: all have one partition key and no index keys, and contain the event as
the JSON text of the function's result. Each new event takes two writes, one before the function
runs and one after.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from benchmarks.writes.contender import Counts, RunSetup, Write
from benchmarks.writes.contenders.boto3_client import client_of
from benchmarks.writes.contenders.plain_values import flat
from benchmarks.writes.events import Row

__all__ = ["idempotent"]

_RETENTION_SECONDS = 30 * 24 * 3600
_STORED = ("source", "event_key", "event_type", "object_type", "object_id")
_STORED_TOO = ("occurred_at", "received_at", "payload", "digest", "status", "attempts")


class _LambdaContext:
    """The part of the Lambda context that Powertools uses."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


@contextmanager
def idempotent(setup: RunSetup) -> Iterator[Write]:
    """Call the decorated function for each event. If it does not run, the event is a duplicate."""
    store = DynamoDBPersistenceLayer(
        table_name=setup.settings.table,
        key_attr="pk",
        sort_key_attr="sk",
        static_pk_value="WEBHOOK#hubspot",
        expiry_attr="ttl",
        boto3_client=client_of(setup),
    )
    config = IdempotencyConfig(
        event_key_jmespath="event_key",
        expires_after_seconds=_RETENTION_SECONDS,
        lambda_context=_LambdaContext(),
    )
    ran: list[str] = []

    def store_event(*, event: Row) -> Row:
        ran.append(event["event_key"])
        return {name: event[name] for name in (*_STORED, *_STORED_TOO)}

    decorated = idempotent_function(
        store_event,
        data_keyword_argument="event",
        persistence_store=store,
        config=config,
        key_prefix="events",
    )
    # It stores JSON, which has no type for times.
    events = [{**flat(row), "payload": row["payload"]} for row in setup.rows]

    def write() -> Counts:
        for event in events:
            decorated(event=event)
        return Counts(created=len(ran), duplicate=len(events) - len(ran))

    yield write
