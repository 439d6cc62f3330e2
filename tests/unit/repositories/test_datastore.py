from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given

from quill_models import DataStore, DynamoDataStore, Key, Settings
from quill_models.dynamodb.table import Table
from quill_models.errors import InvalidPayload, InvalidValue, QuillError
from tests.unit.examples import NOON
from tests.unit.strategies import texts
from tests.unit.wire import Wire, always, response

pytestmark = pytest.mark.usefixtures("isolated")

KEY = Key("NOTE#1", "BODY")


@cache
def _table() -> tuple[Table, Wire]:
    # Making a client takes longer than all that is asked of it.
    table = Table(Settings(table="mine"), lambda: NOON)
    return table, Wire(table.client, always({}))


def store(reply: dict[str, Any] | None = None) -> tuple[DynamoDataStore, Wire]:
    table, wire = _table()
    wire.reply = always(reply or {})
    wire.sent.clear()
    return DynamoDataStore(table), wire


def test_store_is_a_data_store() -> None:
    made, _ = store()
    as_protocol: DataStore = made
    assert isinstance(as_protocol, DataStore)


def test_put_stores_under_key_with_ttl() -> None:
    made, wire = store()
    assert made.put(KEY, {"text": "hello", "n": Decimal("1.10")}, ttl=timedelta(seconds=1.5))
    ((name, request),) = wire.sent
    item = request["Item"]
    assert item.pop("write_token")["S"]
    assert name == "PutItem"
    assert "ConditionExpression" not in request
    assert item == {
        "pk": {"S": "NOTE#1"},
        "sk": {"S": "BODY"},
        "text": {"S": "hello"},
        "n": {"N": "1.10"},
        "ttl": {"N": str(int(NOON.timestamp()) + 2)},
    }


def test_get_returns_key_and_expiry() -> None:
    stored = {
        "pk": {"S": "NOTE#1"},
        "sk": {"S": "BODY"},
        "text": {"S": "hello"},
        "ttl": {"N": str(int(NOON.timestamp()) + 2)},
        "write_token": {"S": "t"},
    }
    made, _ = store({"Item": stored})
    found = made.get(KEY)
    assert found == {"text": "hello"}
    assert found is not None
    assert (found.key, found.expires_at) == (KEY, int(NOON.timestamp()) + 2)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (Key("", "BODY"), "pk must be text of at least one character"),
        (Key("NOTE#1", ""), "sk must be text of at least one character"),
        (Key(7, "BODY"), "pk must be text"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (Key("\ud800", "BODY"), "pk is not valid Unicode"),
        (Key("x" * 2049, "BODY"), "pk has 2049 bytes; DynamoDB allows 2048"),
        (Key("ü" * 1025, "BODY"), "pk has 2050 bytes; DynamoDB allows 2048"),
        (Key("NOTE#1", "x" * 1025), "sk has 1025 bytes; DynamoDB allows 1024"),
    ],
)
def test_every_call_invalid_key_raises(key: Key, message: str) -> None:
    made, wire = store()
    for call in (
        lambda: made.put(key, {}),
        lambda: made.get(key),
        lambda: made.delete(key),
        lambda: made.check_and_mark(key, timedelta(days=1)),
    ):
        with pytest.raises(InvalidValue, match=message):
            call()
    if key.sk:
        with pytest.raises(InvalidValue, match=message):
            made.query(*key)
    assert wire.sent == []


@given(texts(), texts())
def test_every_call_other_key_is_used_unchanged(pk: str, sk: str) -> None:
    made, wire = store()
    made.delete(Key(pk, sk))
    assert wire.sent[0][1]["Key"] == {"pk": {"S": pk}, "sk": {"S": sk}}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"pk": "x"}, r"reserved attributes: pk"),
        ({"ttl": 1, "write_token": "t"}, r"reserved attributes: ttl, write_token"),
        ({"a": float("nan")}, r"item\['a'\] must be a finite number"),
        ({"\ud800": 1}, "Unicode"),
        ([], "mapping"),
        (None, "mapping"),
        ("text", "mapping"),
    ],
)
def test_put_invalid_item_raises(item: dict[str, Any], message: str) -> None:
    made, wire = store()
    with pytest.raises(InvalidValue, match=message):
        made.put(KEY, item)
    assert wire.sent == []


def test_put_over_400_kb_raises_before_any_request() -> None:
    made, wire = store()
    with pytest.raises(InvalidPayload, match="NOTE#1 / BODY has 5000"):
        made.put(KEY, {"a": "x" * 500_000})
    assert wire.sent == []


@pytest.mark.parametrize("ttl", [NOON.replace(tzinfo=None), 60, timedelta.max])
def test_put_invalid_ttl_raises(ttl: Any) -> None:
    made, wire = store()
    with pytest.raises(InvalidValue, match="ttl"):
        made.put(KEY, {}, ttl=ttl)
    with pytest.raises(InvalidValue, match="ttl"):
        made.check_and_mark(KEY, ttl)
    assert wire.sent == []


def test_check_and_mark_tokens_are_unique() -> None:
    made, wire = store()
    assert made.check_and_mark(KEY, timedelta(days=1))
    assert made.check_and_mark(KEY, timedelta(days=1))
    one, other = (request["Item"]["write_token"]["S"] for _, request in wire.sent)
    assert one != other
    assert wire.sent[0][1]["ConditionExpression"] == "attribute_not_exists(#pk) OR #ttl <= :now"


def test_query_requests_a_page_when_needed() -> None:
    made, wire = store()
    keys = [{"pk": {"S": "NOTE#1"}, "sk": {"S": str(number)}} for number in range(3)]
    pages: list[dict[str, Any]] = [
        {"Items": keys[:2], "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": keys[1]},
        {"Items": keys[2:], "Count": len(keys[2:]), "ScannedCount": len(keys[2:])},
    ]
    replies = [response(page) for page in pages]
    wire.reply = lambda _name, _body: replies.pop(0)
    found = made.query("NOTE#1", "1#")
    assert wire.sent == []
    assert [next(found).key.sk, next(found).key.sk] == ["0", "1"]
    assert len(wire.sent) == 1
    assert [item.key.sk for item in found] == ["2"]
    assert [request.get("ExclusiveStartKey") for _, request in wire.sent] == [None, keys[1]]
    assert {request["KeyConditionExpression"] for _, request in wire.sent} == {
        "#pk = :pk AND begins_with(#sk, :sk)"
    }


def test_invalid_key_raises_own_error() -> None:
    made, _ = store()
    with pytest.raises(QuillError):
        made.get(Key("", ""))
