"""DynamoDB's protocol with nothing around it: one kept-alive connection, bodies as they are."""

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

# Those that this package sends: DynamoDB Local may keep the tables of each key apart.
ACCESS_KEY = "fakeMyKeyId"
SECRET_KEY = "fakeSecretAccessKey"  # noqa: S105

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
BATCH = 25
_CONNECTIONS, _AT_ONCE = 4, 10_000


class BareHttp:
    """One connection. DynamoDB Local checks no signature, but wants the header to be there."""

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
        """The status and body of the answer."""
        if self._meter is not None:
            self._meter.note(operation, body)
        target = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        self._connection.request("POST", "/", body, {**self._headers, **target})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def items(self, operation: str, asked: dict[str, Any]) -> Iterator[RawItem]:
        """All items of a query or a scan, page by page."""
        limit, asked = PageLimit(), dict(asked)
        while True:
            asked["Limit"] = limit.items
            status, answer = self.send(operation, json.dumps(asked).encode())
            if status != 200:
                raise RuntimeError(f"{operation}: {status} {answer[:200]!r}")
            page = json.loads(answer)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            limit.update(page["ScannedCount"])
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, so many at a time."""
    return (items[at : at + size] for at in range(0, len(items), size))


def blind_body(table: str, items: Iterable[RawItem]) -> bytes:
    """A ``BatchWriteItem`` of up to 25 puts, as bytes."""
    puts = [{"PutRequest": {"Item": item}} for item in items]
    return json.dumps({"RequestItems": {table: puts}}).encode()


def check_blind(status: int, answer: bytes) -> None:
    """Refuse an answer to a ``BatchWriteItem`` that leaves something to do."""
    if status != 200 or b'"UnprocessedItems":{}' not in answer:
        raise RuntimeError(f"BatchWriteItem: {status} {answer[:200]!r}")


def put_blindly(settings: Settings, items: Iterable[RawItem]) -> None:
    """Store items, whatever is there, over a few connections. Holds some of them at a time."""
    waiting = iter(items)
    while some := list(islice(waiting, _AT_ONCE)):
        _put_some(settings, some)


def _put_some(settings: Settings, items: Sequence[RawItem]) -> None:
    def put(part: int) -> None:
        connection = BareHttp(settings)
        for batch in batches(items[part::_CONNECTIONS], BATCH):
            check_blind(*connection.send("BatchWriteItem", blind_body(settings.table, batch)))
        connection.close()

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(put, range(_CONNECTIONS)))


def stored_items(settings: Settings) -> Iterator[RawItem]:
    """Every item of the table, in DynamoDB's wire format."""
    connection = BareHttp(settings)
    yield from connection.items("Scan", {"TableName": settings.table, "ConsistentRead": True})
    connection.close()
