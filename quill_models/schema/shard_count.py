"""Store and grow the number of shards of a table; see `quill_models.dynamodb.shards`."""

from __future__ import annotations

from collections.abc import Sequence

from quill_models.dynamodb.items import (
    WRITE_TOKEN,
    Condition,
    RawItem,
    new_token,
    raw_key,
    token_of,
)
from quill_models.dynamodb.shards import TABLE_SETTINGS, ShardCount
from quill_models.dynamodb.table import Table
from quill_models.writes.actions import Put, Refusal
from quill_models.writes.driver import send
from quill_models.writes.put_if_absent import PutIfAbsent
from quill_models.writes.write import Write

__all__ = ["grow_shards", "store_shard_count"]


def store_shard_count(table: Table) -> bool:
    """Store the number of shards if the table has none. Return whether this call stored it."""
    table.invalidate_shards()
    return send(table, PutIfAbsent(table, _settings_item(ShardCount())))


def grow_shards(table: Table, shards: int) -> ShardCount:
    """Grow the number of shards; see `Schema.grow_shards`."""
    count = send(table, _Grow(table, shards))
    table.invalidate_shards()
    return count


class _Grow(Write[ShardCount]):
    def __init__(self, table: Table, shards: int) -> None:
        self.token = new_token()
        self._table = table
        self._shards = shards
        self._grow(table.get(TABLE_SETTINGS))

    def _grow(self, stored: RawItem | None) -> None:
        self._count = ShardCount.from_attributes(stored).grown(self._shards, self._table.clock())
        item = {**_settings_item(self._count), WRITE_TOKEN: {"S": self.token}}
        self.actions = [Put(item, Condition.unchanged_since(token_of(stored)))]

    def done(self, stored: RawItem | None = None) -> ShardCount:
        return self._count if stored is None else ShardCount.from_attributes(stored)

    def refused(self, refusals: Sequence[Refusal | None]) -> ShardCount | None:
        self._grow(None if refusals[0] is None else refusals[0].item)
        return None


def _settings_item(count: ShardCount) -> RawItem:
    return {**raw_key(TABLE_SETTINGS), "kind": {"S": "table_settings"}, **count.to_attributes()}
