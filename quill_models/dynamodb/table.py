"""Requests on one table: reads and writes that treat expired items as absent.

An item whose ``ttl`` has passed is absent for every read here and every condition. DynamoDB deletes
it later, "within a few days".
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ttl-expired-items.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from quill_models.dynamodb.backoff import Backoff
from quill_models.dynamodb.client import Client
from quill_models.dynamodb.items import (
    NOT_EXPIRED,
    TTL,
    Condition,
    RawItem,
    is_live,
    key_of,
    raw_key,
)
from quill_models.dynamodb.pages import PageLimit, RawPage
from quill_models.dynamodb.shards import TABLE_SETTINGS, Shards
from quill_models.settings import Settings
from quill_models.telemetry.operations import Telemetry
from quill_models.values.clock import Clock, system_clock
from quill_models.values.errors import Throttled
from quill_models.values.keys import Key

__all__ = ["RawItem", "Table"]

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_BATCH_GET_KEYS = 100


class Table:
    """One table at one endpoint. Sends no request before the first use. Thread-safe."""

    def __init__(
        self, settings: Settings, clock: Clock = system_clock, telemetry: Telemetry | None = None
    ) -> None:
        self.settings, self.name = settings, settings.table
        self.clock, self.telemetry = clock, telemetry
        self.client = Client(settings, telemetry)
        self._shards = Shards(lambda: self.get(TABLE_SETTINGS), clock)
        self.invalidate_shards = self._shards.invalidate
        self.close = self.client.close

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send one request for this table; see `Client.request`."""
        return self.client.request(operation, TableName=self.name, **parameters)

    def get(self, key: Key) -> RawItem | None:
        """Return the live item under a key. Cost: one consistent read, a read unit per 4 KB."""
        item = self.request("get_item", Key=raw_key(key), ConsistentRead=True).get("Item")
        return item if item is not None and is_live(item, self.clock()) else None

    def get_many(self, keys: Iterable[Key]) -> dict[Key, RawItem]:
        """Return the live items under many keys, read with strong consistency.

        Raises:
            Throttled: The table returned nothing more until the deadline.

        Cost:
            One request for each 100 keys, more if they hold over 16 MB.
        """
        waiting = [raw_key(key) for key in dict.fromkeys(keys)]
        found: dict[Key, RawItem] = {}
        now = self.clock()
        backoff = Backoff(self.settings.deadline)
        while waiting:
            batch = {"Keys": waiting[:_BATCH_GET_KEYS], "ConsistentRead": True}
            response = self.client.request("batch_get_item", RequestItems={self.name: batch})
            items = response["Responses"].get(self.name, [])
            found.update((key_of(item), item) for item in items if is_live(item, now))
            unread = response.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            waiting = [*unread, *waiting[_BATCH_GET_KEYS:]]
            if unread and not items and not backoff.wait("UnprocessedKeys"):
                raise Throttled(
                    f"Reads of {len(unread)} items of {self.name} were throttled. Retry."
                )
        return found

    def query(
        self,
        condition: Condition,
        *,
        limit: int,
        index: str | None = None,
        newest_first: bool = False,
        start: RawItem | None = None,
    ) -> RawPage:
        """Return one page of live items of a key condition.

        Reads of the table are strongly consistent, those of an index are not.
        """
        forward = not newest_first
        return _page(self._query(condition, index, start, limit, ScanIndexForward=forward))

    def query_all(self, condition: Condition) -> Iterator[RawItem]:
        """Yield all live items of a key condition page by page, strongly consistent."""
        for response in self._queries(condition, None):
            yield from response["Items"]

    def count(self, condition: Condition, *, index: str | None = None) -> int:
        """Return the number of live items of a key condition. Cost: one query for each MB."""
        responses = self._queries(condition, index, Select="COUNT")
        return sum(int(response["Count"]) for response in responses)

    def _queries(
        self, condition: Condition, index: str | None, **more: str
    ) -> Iterator[dict[str, Any]]:
        limit, start = PageLimit(), None
        while True:
            response = self._query(condition, index, start, limit.items, **more)
            yield response
            start = response.get("LastEvaluatedKey")
            if start is None:
                return
            limit.update(response["ScannedCount"])

    def _query(
        self,
        condition: Condition,
        index: str | None,
        start: RawItem | None,
        limit: int,
        **more: Any,
    ) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "KeyConditionExpression": condition.expression,
            "FilterExpression": NOT_EXPIRED,
            "ExpressionAttributeNames": {**condition.names, "#ttl": TTL},
            "ExpressionAttributeValues": {**condition.values, **self._now()},
            "Limit": limit,
            **({"ConsistentRead": True} if index is None else {"IndexName": index}),
            **more,
        }
        if start is not None:
            parameters["ExclusiveStartKey"] = start
        return self.request("query", **parameters)

    def scan(
        self,
        kinds: Collection[str] | None,
        *,
        segment: int,
        segments: int,
        limit: int,
        index: str | None = None,
        consistent: bool = False,
        start: RawItem | None = None,
    ) -> RawPage:
        """Return one page of a segment of the table or an index: live items of some or all kinds.

        Items of other kinds are not returned, but cost read units.
        """
        names, values, filters = {"#ttl": TTL}, self._now(), [NOT_EXPIRED]
        if kinds is not None:
            wanted = {f":k{at}": {"S": kind} for at, kind in enumerate(kinds)}
            names["#kind"] = "kind"
            values.update(wanted)
            filters.insert(0, f"#kind IN ({', '.join(wanted)})")
        parameters: dict[str, Any] = {
            "Segment": segment,
            "TotalSegments": segments,
            "Limit": limit,
            "ConsistentRead": consistent,
            "ReturnConsumedCapacity": "TOTAL",
            "FilterExpression": " AND ".join(filters),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        if index is not None:
            parameters["IndexName"] = index
        if start is not None:
            parameters["ExclusiveStartKey"] = start
        return _page(self.request("scan", **parameters))

    def _now(self) -> RawItem:
        return {":now": {"N": str(int(self.clock().timestamp()))}}

    def put(self, item: RawItem) -> None:
        """Store an item without a condition."""
        self.request("put_item", Item=item)

    def delete(self, key: Key) -> None:
        """Delete an item. An absent item is not an error."""
        self.request("delete_item", Key=raw_key(key))

    @property
    def known_shards(self) -> int:
        """The last known value of `shards`. Cost: no request."""
        return self._shards.known.to_write(self.clock())

    @property
    def shards(self) -> int:
        """The number of shards that writers use. Cost: one request a minute."""
        return self._shards.current().to_write(self.clock())

    @property
    def shards_to_read(self) -> range:
        """The shards that readers of a sharded list query. Cost: one request a minute."""
        return range(self._shards.current().to_read())


def _page(response: dict[str, Any]) -> RawPage:
    return RawPage(
        response["Items"],
        response["ScannedCount"],
        response.get("LastEvaluatedKey"),
        response.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0),
    )
