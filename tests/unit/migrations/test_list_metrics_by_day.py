"""Migration 0003 composes the same attributes as the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quill_models import Metric
from quill_models.dynamodb.shards import ShardCount
from quill_models.models import QuillModel
from tests.unit.examples import EXAMPLES, KINDS, NOON, metric, table
from tests.unit.strategies import instants, metrics

MIGRATION = vars(import_module("quill_models.migrations.versions.0003_list_metrics_by_day"))
ADDED = ("gsi3pk", "gsi3sk")


def stored(model: QuillModel, shards: int) -> dict[str, Any]:
    model.stamp(table())
    return model.to_item(shards)


@given(metrics(), st.integers(1, 1000))
@example(metric(scope="agent:" + "ü" * 600, name="🦜" * 150), 7)
@example(metric(scope="agent:" + "x" * 999), 7)
@example(metric(scope="agent:a#b%23", name="\x00 $%&"), 7)
def test_attributes_old_metric_becomes_equal_to_a_new_one(new: Metric, shards: int) -> None:
    item = stored(new, shards)
    old = {name: value for name, value in item.items() if name not in ADDED}
    set_ = MIGRATION["attributes"](old, shards)
    assert {**old, **set_} == item
    assert set(set_) == set(ADDED)


@given(metrics(), st.integers(1, 1000), st.integers(1, 1000))
def test_attributes_listed_metric_is_unchanged(new: Metric, shards: int, other: int) -> None:
    assert MIGRATION["attributes"](stored(new, shards), other) == {}


@KINDS
def test_attributes_other_kind_is_unchanged(kind: str) -> None:
    if kind != "metric":
        item = stored(EXAMPLES[kind](), 4)
        item = {name: value for name, value in item.items() if name not in ADDED}
        assert MIGRATION["attributes"](item, 4) == {}


@given(
    st.integers(1, 1000),
    st.none() | st.tuples(st.integers(1, 1000), st.integers(-300, 300)),
    instants(),
)
def test_shards_of_growing_table_equals_shards_of_writers(
    shards: int, growing: tuple[int, int] | None, now: datetime
) -> None:
    now = now.astimezone(UTC).replace(microsecond=0)
    count = ShardCount(shards)
    if growing is not None:
        count = ShardCount(shards, growing[0], now + timedelta(seconds=growing[1]))
    found = MIGRATION["shards_of"](count.to_attributes(), now.timestamp())
    assert found == count.to_write(now)


@pytest.mark.parametrize("settings", [{}, {"pk": {"S": "QUILL"}}])
def test_shards_of_table_without_number_is_the_default(settings: dict[str, Any]) -> None:
    assert MIGRATION["shards_of"](settings, NOON.timestamp()) == ShardCount().to_write(NOON)
