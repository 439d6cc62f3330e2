"""boto3's client, with its own serializer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.dynamodb.types import TypeSerializer

from benchmarks.writes.bare_http import ACCESS_KEY, SECRET_KEY
from benchmarks.writes.contender import Counts, RunSetup, Write, in_threads
from benchmarks.writes.contenders.plain_values import flat
from benchmarks.writes.events import Row

__all__ = ["client_of", "put", "put_in_threads"]

_THREADS = 8


@contextmanager
def put(setup: RunSetup) -> Iterator[Write]:
    """Put each event conditionally."""
    put_row = _put_row(setup)
    yield lambda: Counts.of(map(put_row, setup.rows))


@contextmanager
def put_in_threads(setup: RunSetup) -> Iterator[Write]:
    """Put each event conditionally, in eight threads."""
    put_row = _put_row(setup)
    yield lambda: Counts.of(in_threads(_THREADS, put_row, setup.rows))


def client_of(setup: RunSetup) -> Any:
    """Return a client with boto3's defaults and an open connection."""
    client = boto3.session.Session().client(
        "dynamodb",
        endpoint_url=setup.settings.endpoint,
        region_name=setup.settings.region,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.get_item(TableName=setup.settings.table, Key={"pk": {"S": "none"}, "sk": {"S": "none"}})
    setup.meter.attach(client)
    return client


def _put_row(setup: RunSetup) -> Callable[[Row], bool]:
    client, table = client_of(setup), setup.settings.table
    serialize = TypeSerializer().serialize
    # Converted before the clock starts.
    _ = setup.rows

    def put_row(row: Row) -> bool:
        try:
            client.put_item(
                TableName=table,
                Item={name: serialize(value) for name, value in flat(row).items()},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    return put_row
