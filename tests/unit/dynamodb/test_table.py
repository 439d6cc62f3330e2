"""Requests on one table, and expiry."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models import Key, Settings
from quill_models.dynamodb.items import Condition, is_live, key_of, new_token, raw_key, token_of
from quill_models.dynamodb.pages import RawPage
from quill_models.dynamodb.table import Table
from quill_models.values.clock import epoch_seconds
from tests.unit.examples import NOON
from tests.unit.strategies import texts
from tests.unit.wire import Wire, always

pytestmark = pytest.mark.usefixtures("isolated")

SECOND = timedelta(seconds=1)
KEY = Key("AGENT#7", "PROFILE")


def item(**more: Any) -> dict[str, Any]:
    return {**raw_key(KEY), **more}


def expiring(at: datetime) -> dict[str, Any]:
    return item(ttl={"N": str(epoch_seconds(at))})


def table() -> Table:
    return Table(Settings(table="mine"), lambda: NOON)


@given(texts(), texts())
def test_key_of_raw_key_round_trips(pk: str, sk: str) -> None:
    assert key_of(raw_key(Key(pk, sk))) == Key(pk, sk)


def test_new_token_is_unique() -> None:
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert token_of(item(write_token={"S": "t"})) == "t"
    assert token_of(item()) is token_of(None) is None


@pytest.mark.parametrize(
    ("stored", "live"),
    [
        (item(), True),
        (expiring(NOON + SECOND), True),
        (expiring(NOON + timedelta(microseconds=1)), True),
        (expiring(NOON), False),
        (expiring(NOON - SECOND), False),
        (item(ttl={"N": "0"}), False),
        (item(ttl={"S": "1"}), True),
    ],
)
def test_is_live_at_expiry_is_false(stored: dict[str, Any], *, live: bool) -> None:
    assert is_live(stored, NOON) is live
    reader = table()
    Wire(reader.client, always({"Item": stored}))
    assert reader.get(KEY) == (stored if live else None)


@given(st.integers(0, 2 * 10**6))
def test_is_live_before_expiry_is_true_to_the_second(microseconds: int) -> None:
    expires = NOON + timedelta(microseconds=microseconds)
    stored = expiring(expires)
    assert is_live(stored, expires - timedelta(microseconds=1))
    assert not is_live(stored, expires + SECOND)


def test_get_is_strongly_consistent_and_names_the_table() -> None:
    reader = table()
    wire = Wire(reader.client, always({}))
    assert reader.get(KEY) is None
    assert wire.sent == [
        ("GetItem", {"TableName": "mine", "Key": raw_key(KEY), "ConsistentRead": True})
    ]


@pytest.mark.parametrize("index", [None, "gsi1"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_query_filters_expired_items(index: str | None, *, newest_first: bool) -> None:
    reader = table()
    wire = Wire(
        reader.client,
        always(
            {
                "Items": [item()],
                "Count": 1,
                "ScannedCount": 4,
                "LastEvaluatedKey": raw_key(KEY),
            }
        ),
    )
    condition = Condition("#pk = :pk", {"#pk": "pk"}, {":pk": {"S": "AGENT#7"}})
    found = reader.query(
        condition, index=index, newest_first=newest_first, limit=7, start=raw_key(KEY)
    )
    assert found == RawPage([item()], 4, raw_key(KEY))
    ((_, request),) = wire.sent
    assert request.pop("IndexName", None) == index
    assert request.pop("ConsistentRead", False) is (index is None)
    assert request == {
        "TableName": "mine",
        "KeyConditionExpression": "#pk = :pk",
        "FilterExpression": "NOT #ttl <= :now",
        "ExpressionAttributeNames": {"#pk": "pk", "#ttl": "ttl"},
        "ExpressionAttributeValues": {
            ":pk": {"S": "AGENT#7"},
            ":now": {"N": str(int(NOON.timestamp()))},
        },
        "ScanIndexForward": not newest_first,
        "Limit": 7,
        "ExclusiveStartKey": raw_key(KEY),
    }
