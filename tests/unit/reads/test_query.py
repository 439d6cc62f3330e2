"""Pages and cursors of lists."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models import Agent, Query, QuillError, Settings
from quill_models.dynamodb.shards import DEFAULT_SHARDS
from quill_models.dynamodb.table import Table
from quill_models.errors import InvalidCursor
from quill_models.models import key_schema
from tests.unit.examples import NOON, agent
from tests.unit.strategies import texts
from tests.unit.wire import Response, Wire, response

pytestmark = pytest.mark.usefixtures("isolated")


class _Server:
    """A server with the agents of a team. A page has up to ``Limit`` items."""

    def __init__(self, names: Sequence[str]) -> None:
        self.items = sorted(
            (agent(agent_id=name, name=name).to_item(DEFAULT_SHARDS) for name in names),
            key=lambda item: item["gsi2sk"]["S"],
        )

    def __call__(self, name: str, body: dict[str, Any]) -> Response:
        assert name == "Query"
        ordered = self.items if body["ScanIndexForward"] else self.items[::-1]
        start = body.get("ExclusiveStartKey")
        begin = 0
        if start is not None:
            keys = [{each: item[each] for each in start} for item in ordered]
            begin = keys.index(start) + 1
        page = ordered[begin : begin + body["Limit"]]
        reply: dict[str, Any] = {
            "Items": page,
            "Count": len(page),
            "ScannedCount": len(page),
        }
        if begin + len(page) < len(ordered):
            reply["LastEvaluatedKey"] = {
                each: page[-1][each] for each in ("pk", "sk", "gsi2pk", "gsi2sk")
            }
        return response(reply)


def team(table: Table, name: str = "north", *, newest_first: bool = False) -> Query[Agent]:
    return Query(
        table,
        Agent,
        [key_schema.agents_of_team(name)],
        index="gsi2",
        newest_first=newest_first,
    )


@cache
def _table(name: str) -> tuple[Table, Wire]:
    # Cached, because a client takes longer to create than a test.
    table = Table(Settings(table=name), lambda: NOON)
    return table, Wire(table.client, _Server([]))


def served(names: Sequence[str], table_name: str = "mine") -> tuple[Table, Wire]:
    table, wire = _table(table_name)
    wire.reply = _Server(names)
    wire.sent.clear()
    return table, wire


NAMES = ["Ada", "Grace", "Katherine", "Mary"]


def test_query_before_use_sends_no_request() -> None:
    table, wire = served(NAMES)
    query = team(table)
    assert wire.sent == []
    assert [found.name for found in query] == NAMES
    assert [found.name for found in query] == NAMES


def test_first_returns_the_first_item() -> None:
    table, wire = served(NAMES)
    first = team(table).first()
    assert first is not None
    assert first.name == "Ada"
    assert wire.sent[0][1]["Limit"] == 1
    last = team(table, newest_first=True).first()
    assert last is not None
    assert last.name == "Mary"
    empty, _ = served([])
    assert team(empty).first() is None


@pytest.mark.parametrize("expired", [0, 40])
def test_page_limit_never_exceeds_the_api_maximum(expired: int) -> None:
    table, wire = served(NAMES)
    server = wire.reply
    start = {each: {"S": "x"} for each in ("pk", "sk", "gsi2pk", "gsi2sk")}

    def reply(name: str, body: dict[str, Any]) -> Response:
        if len(wire.sent) <= expired:
            # A page of expired items.
            page = {"Items": [], "Count": 0, "ScannedCount": body["Limit"]}
            return response({**page, "LastEvaluatedKey": start})
        return server(name, {**body, "ExclusiveStartKey": None})

    wire.reply = reply
    assert [found.name for found in team(table).page(2**40).items] == NAMES
    assert max(body["Limit"] for _, body in wire.sent) < 2**31
    wire.sent.clear()
    first = team(table).first()
    assert first is not None
    assert first.name == "Ada"
    assert max(body["Limit"] for _, body in wire.sent) < 2**31


@given(st.lists(texts(), max_size=12, unique=True), st.integers(1, 5), st.booleans())
def test_page_all_pages_are_the_list(names: list[str], limit: int, newest_first: bool) -> None:
    table, _ = served(names)
    query = team(table, newest_first=newest_first)
    found: list[Agent] = []
    cursor: str | None = None
    while True:
        page = query.page(limit, cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
        assert len(page.items) == limit
        assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")
    assert found == list(query)
    assert len(found) == len(names)


def test_page_cursor_works_in_other_process_and_page_size() -> None:
    table, _ = served(NAMES)
    cursor = team(table).page(1).cursor
    again, _ = served(NAMES)
    assert [found.name for found in team(again).page(3, cursor).items] == NAMES[1:]


@pytest.mark.parametrize(
    "other",
    [
        lambda table: team(table, "south"),
        lambda table: team(table, newest_first=True),
        lambda table: Query(table, Agent, [key_schema.agents_of_team("north")], index="gsi3"),
        lambda table: Query(
            table, Agent, [key_schema.agents_of_team("north")], index="gsi2", between=("a", "b")
        ),
        lambda _: team(served(NAMES, "another-table")[0]),
    ],
    ids=["list", "order", "index", "range", "table"],
)
def test_page_cursor_of_other_query_raises(other: Any) -> None:
    table, _ = served(NAMES)
    cursor = team(table).page(1).cursor
    with pytest.raises(InvalidCursor, match="The cursor was changed"):
        other(table).page(1, cursor)


@given(st.data())
def test_page_changed_cursor_raises(data: st.DataObject) -> None:
    table, wire = served(NAMES)
    cursor = team(table).page(1).cursor
    assert cursor is not None
    second = team(table).page(1, cursor)
    sent = len(wire.sent)
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_=!ü "))
    altered = cursor[:at] + other + cursor[at + 1 :]
    try:
        page = team(table).page(1, altered)
    except InvalidCursor:
        assert altered != cursor
        assert len(wire.sent) == sent
    else:
        # The last character has unused bits, so another text has the same position.
        assert altered[:-1] == cursor[:-1]
        assert page == second


@pytest.mark.parametrize("cursor", ["", "x", "none", "ü", "🦜", "====", "A" * 5000, 7, b"x"])
def test_page_invalid_cursor_raises(cursor: Any) -> None:
    table, wire = served(NAMES)
    with pytest.raises(InvalidCursor):
        team(table).page(1, cursor)
    assert wire.sent == []


@pytest.mark.parametrize("limit", [0, -1])
def test_page_zero_limit_raises(limit: int) -> None:
    table, _ = served(NAMES)
    with pytest.raises(ValueError, match=f"limit must be at least 1, got {limit}") as caught:
        team(table).page(limit)
    assert isinstance(caught.value, QuillError)


def test_query_range_ending_before_start_is_empty() -> None:
    table, wire = served(NAMES)
    query = Query(table, Agent, ["TEAM#north"], index="gsi2", between=("b", "a"))
    assert list(query) == []
    assert query.first() is None
    assert query.count() == 0
    assert query.page().items == []
    assert wire.sent == []
