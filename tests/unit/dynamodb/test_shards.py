"""The number of shards."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models.dynamodb.shards import (
    DEFAULT_SHARDS,
    MAX_AGE,
    MAX_SHARDS,
    ShardCount,
    Shards,
)
from quill_models.errors import InvalidValue
from tests.unit.examples import NOON

SECOND = timedelta(seconds=1)


def test_shard_count_without_item_is_the_default() -> None:
    assert ShardCount.from_attributes(None) == ShardCount(DEFAULT_SHARDS)
    assert ShardCount.from_attributes({"kind": {"S": "table_settings"}}).to_read() == DEFAULT_SHARDS


@given(st.integers(1, MAX_SHARDS), st.integers(1, MAX_SHARDS))
def test_shard_count_stored_round_trips(shards: int, more: int) -> None:
    count = ShardCount(shards)
    assert ShardCount.from_attributes(count.to_attributes()) == count
    growing = ShardCount(min(shards, more)).grown(max(shards, more), NOON)
    assert ShardCount.from_attributes(growing.to_attributes()) == growing


@given(st.integers(1, MAX_SHARDS), st.integers(1, MAX_SHARDS), st.integers(0, 300))
def test_shard_count_growing_reader_misses_no_item(shards: int, more: int, seconds: int) -> None:
    before = ShardCount(min(shards, more))
    after = before.grown(max(shards, more), NOON)
    now = NOON + seconds * SECOND
    # Writers with the new number use no shard that readers with the old one do not read.
    assert before.to_write(now) <= after.to_read()
    assert after.to_write(now) <= after.to_read()
    if now < NOON + MAX_AGE:
        assert after.to_write(now) <= before.to_read()


def test_shard_count_growing_writers_wait_for_readers() -> None:
    growing = ShardCount(4).grown(16, NOON)
    assert growing.next_from is not None
    assert growing.next_from > NOON + MAX_AGE
    assert growing.to_read() == 16
    assert growing.to_write(growing.next_from - SECOND) == 4
    assert growing.to_write(growing.next_from) == 16


@pytest.mark.parametrize("shards", [-1, 0, 3, MAX_SHARDS + 1])
def test_grown_fewer_shards_raises_invalid_value(shards: int) -> None:
    with pytest.raises(InvalidValue, match=f"from 4 .* to {MAX_SHARDS}, got {shards}"):
        ShardCount(4).grown(shards, NOON)


def test_grown_while_growing_raises_invalid_value() -> None:
    growing = ShardCount(4).grown(16, NOON)
    assert growing.next_from is not None
    with pytest.raises(InvalidValue, match="already growing to 16") as caught:
        growing.grown(32, NOON + SECOND)
    assert growing.next_from.isoformat() in str(caught.value)
    assert growing.grown(32, growing.next_from).to_write(growing.next_from) == 16


class _Table:
    """The stored item, and the number of reads."""

    def __init__(self) -> None:
        self.item: dict[str, Any] | None = ShardCount(8).to_attributes()
        self.reads = 0
        self.now: datetime = NOON

    def read(self) -> dict[str, Any] | None:
        self.reads += 1
        return self.item


def test_shards_current_reads_once_a_minute() -> None:
    table = _Table()
    shards = Shards(table.read, lambda: table.now)
    assert shards.known == ShardCount(DEFAULT_SHARDS)
    assert table.reads == 0
    assert shards.current() == shards.current() == shards.known == ShardCount(8)
    assert table.reads == 1

    table.item = ShardCount(8).grown(9, NOON).to_attributes()
    table.now = NOON + MAX_AGE - SECOND
    assert shards.current().to_read() == 8
    table.now = NOON + MAX_AGE
    assert shards.current().to_read() == 9
    assert table.reads == 2


def test_shards_invalidate_reads_again() -> None:
    table = _Table()
    shards = Shards(table.read, lambda: table.now)
    shards.current()
    table.item = ShardCount(12).to_attributes()
    shards.invalidate()
    assert shards.current() == ShardCount(12)
