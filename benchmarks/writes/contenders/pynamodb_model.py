"""PynamoDB, with a plain model as its users write it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pynamodb.attributes import (
    JSONAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.exceptions import PutError
from pynamodb.models import Model

from benchmarks.writes.bare_http import ACCESS_KEY, SECRET_KEY
from benchmarks.writes.contender import Counts, RunSetup, Write, in_threads

__all__ = ["batch_write", "save", "save_in_threads"]

_THREADS = 8


@contextmanager
def save(setup: RunSetup) -> Iterator[Write]:
    """Save each event conditionally."""
    model, events = _prepared(setup)
    yield lambda: Counts.of(_saved(model, event) for event in events)


@contextmanager
def save_in_threads(setup: RunSetup) -> Iterator[Write]:
    """Save each event conditionally, in eight threads."""
    model, events = _prepared(setup)
    yield lambda: Counts.of(in_threads(_THREADS, lambda event: _saved(model, event), events))


@contextmanager
def batch_write(setup: RunSetup) -> Iterator[Write]:
    """Write batches of 25 that overwrite stored items."""
    model, events = _prepared(setup)

    def write() -> None:
        with model.batch_write() as batch:
            for event in events:
                batch.save(event)

    yield write


def _saved(model: type[Any], event: Any) -> bool:
    try:
        event.save(condition=model.pk.does_not_exist())
    except PutError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _prepared(setup: RunSetup) -> tuple[type[Any], list[Any]]:
    """Return the connected model, and the events as its objects."""
    model = _model(setup)
    client = model._get_connection().connection.client  # noqa: SLF001 -- no other way to it
    # Opens the first connection.
    client.get_item(TableName=setup.settings.table, Key={"pk": {"S": "none"}, "sk": {"S": "none"}})
    setup.meter.attach(client)
    return model, [model(**row) for row in setup.rows]


def _model(setup: RunSetup) -> type[Any]:
    # PynamoDB stores the connection in the class, so each table needs its own class.
    class Event(Model):
        class Meta:
            table_name = setup.settings.table
            host = setup.settings.endpoint
            region = setup.settings.region
            aws_access_key_id = ACCESS_KEY
            aws_secret_access_key = SECRET_KEY

        pk = UnicodeAttribute(hash_key=True)
        sk = UnicodeAttribute(range_key=True)
        gsi1pk = UnicodeAttribute(null=True)
        gsi1sk = UnicodeAttribute(null=True)
        gsi2pk = UnicodeAttribute(null=True)
        gsi2sk = UnicodeAttribute(null=True)
        gsi3pk = UnicodeAttribute(null=True)
        gsi3sk = UnicodeAttribute(null=True)
        kind = UnicodeAttribute()
        created_at = UTCDateTimeAttribute()
        updated_at = UTCDateTimeAttribute()
        ttl = TTLAttribute(null=True)
        write_token = UnicodeAttribute()
        source = UnicodeAttribute()
        event_key = UnicodeAttribute()
        event_type = UnicodeAttribute()
        object_type = UnicodeAttribute(null=True)
        object_id = UnicodeAttribute(null=True)
        occurred_at = UTCDateTimeAttribute()
        received_at = UTCDateTimeAttribute()
        payload = JSONAttribute()
        digest = UnicodeAttribute()
        status = UnicodeAttribute()
        attempts = NumberAttribute()

    return Event
