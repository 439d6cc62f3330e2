"""boto3's client, with its own serializer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.dynamodb.types import TypeSerializer

from benchmarks.writes.bare_http import ACCESS_KEY, SECRET_KEY
from benchmarks.writes.contender import Site, Told, Write, in_threads
from benchmarks.writes.contenders.plain_values import flat
from benchmarks.writes.events import Row

__all__ = ["client_of", "put", "put_in_threads"]

_THREADS = 8


@contextmanager
def put(site: Site) -> Iterator[Write]:
    """A conditional put for each event."""
    put_row = _put_row(site)
    yield lambda: Told.of(map(put_row, site.rows))


@contextmanager
def put_in_threads(site: Site) -> Iterator[Write]:
    """A conditional put for each event, eight at a time."""
    put_row = _put_row(site)
    yield lambda: Told.of(in_threads(_THREADS, put_row, site.rows))


def client_of(site: Site) -> Any:
    """A client with boto3's defaults, its first connection open."""
    client = boto3.session.Session().client(
        "dynamodb",
        endpoint_url=site.settings.endpoint,
        region_name=site.settings.region,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.get_item(TableName=site.settings.table, Key={"pk": {"S": "none"}, "sk": {"S": "none"}})
    site.meter.listen(client)
    return client


def _put_row(site: Site) -> Callable[[Row], bool]:
    client, table = client_of(site), site.settings.table
    serialize = TypeSerializer().serialize
    # Made before the timing.
    _ = site.rows

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
