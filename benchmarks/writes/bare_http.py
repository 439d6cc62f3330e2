"""A minimal client of DynamoDB's protocol, which sends prepared bodies on one connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

from benchmarks.writes.meter import Meter
from quill_models import Settings
from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.pages import PageLimit

__all__ = ["ACCESS_KEY", "SECRET_KEY", "BareHttp", "batches", "put_blindly", "stored_items"]

T = TypeVar("T")

# The credentials of this package, because DynamoDB Local can separate tables by access key.
ACCESS_KEY = "fakeMyKeyId"
SECRET_KEY = "fakeSecretAccessKey"  # noqa: S105

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
BATCH = 25
_CONNECTIONS, _CHUNK = 4, 10_000


class BareHttp:
    """One connection. DynamoDB Local needs the signature's header, but does not check it."""

    def __init__(self, settings: Settings, meter: Meter | None = None) -> None:
        self._connection = HTTPConnection(urlsplit(str(settings.endpoint)).netloc, timeout=60)
        self._meter = meter
        self._headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": (
                f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261123/{settings.region}/dynamodb/"
                "aws4_request, SignedHeaders=host;x-amz-target, Signature=0"
            ),
            "X-Amz-Date": "20261123T090000Z",
        }

    def send(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Send a request, and return the status and body of the response."""
        if self._meter is not None:
            self._meter.record(operation, body)
        target = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        self._connection.request("POST", "/", body, {**self._headers, **target})
        response = self._connection.getresponse()
        return response.status, response.read()

    def items(self, operation: str, parameters: dict[str, Any]) -> Iterator[RawItem]:
        """Yield all items of a query or a scan, page by page."""
        limit, parameters = PageLimit(), dict(parameters)
        while True:
            parameters["Limit"] = limit.items
            status, response = self.send(operation, json.dumps(parameters).encode())
            if status != 200:
                raise RuntimeError(f"{operation}: {status} {response[:200]!r}")
            page = json.loads(response)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            limit.update(page["ScannedCount"])
            parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Split items into batches of ``size``."""
    return (items[at : at + size] for at in range(0, len(items), size))


def blind_body(table: str, items: Iterable[RawItem]) -> bytes:
    """Return the body of a ``BatchWriteItem`` of up to 25 puts."""
    puts = [{"PutRequest": {"Item": item}} for item in items]
    return json.dumps({"RequestItems": {table: puts}}).encode()


def check_blind(status: int, response: bytes) -> None:
    """Raise if a ``BatchWriteItem`` failed or has unprocessed items."""
    if status != 200 or b'"UnprocessedItems":{}' not in response:
        raise RuntimeError(f"BatchWriteItem: {status} {response[:200]!r}")


def put_blindly(settings: Settings, items: Iterable[RawItem]) -> None:
    """Store items unconditionally over a few connections, with constant memory."""
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        _put_chunk(settings, chunk)


def _put_chunk(settings: Settings, items: Sequence[RawItem]) -> None:
    def put(part: int) -> None:
        connection = BareHttp(settings)
        for batch in batches(items[part::_CONNECTIONS], BATCH):
            check_blind(*connection.send("BatchWriteItem", blind_body(settings.table, batch)))
        connection.close()

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(put, range(_CONNECTIONS)))


def stored_items(settings: Settings) -> Iterator[RawItem]:
    """Yield every item of the table, in DynamoDB's wire format."""
    connection = BareHttp(settings)
    yield from connection.items("Scan", {"TableName": settings.table, "ConsistentRead": True})
    connection.close()
