"""Exactly one caller stored the item."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from quill_models.dynamodb.items import Condition
from quill_models.dynamodb.table import Table
from quill_models.settings import Settings
from quill_models.writes.driver import send
from quill_models.writes.put_if_absent import PutIfAbsent
from tests.unit.wire import Response, Wire, error_response, response

pytestmark = pytest.mark.usefixtures("isolated", "delays")

NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)
ITEM: dict[str, Any] = {"pk": {"S": "a"}, "sk": {"S": "b"}}
THEIRS = {**ITEM, "write_token": {"S": "theirs"}}


@pytest.fixture
def table() -> Table:
    return Table(Settings(), lambda: NOON)


def sent(table: Table, *replies: Response) -> tuple[bool, list[str]]:
    left = list(replies)
    wire = Wire(table.client, lambda _name, _body: left.pop(0))
    outcome = send(table, PutIfAbsent(table, ITEM))
    return outcome, [name for name, _ in wire.sent]


def test_put_if_absent_no_item_stores_it(table: Table) -> None:
    assert sent(table, response({})) == (True, ["PutItem"])


def test_put_if_absent_item_of_another_writer_keeps_it(table: Table) -> None:
    reply = error_response("ConditionalCheckFailedException", Item=THEIRS)
    assert sent(table, reply) == (False, ["PutItem"])


@pytest.mark.parametrize("name", ["write_token", "created_token"])
def test_put_if_absent_lost_response_recognises_its_own_token(table: Table, name: str) -> None:
    write = PutIfAbsent(table, ITEM)
    mine = {**THEIRS, name: {"S": write.token}}
    Wire(table.client, lambda *_: error_response("ConditionalCheckFailedException", Item=mine))
    assert send(table, write)


def test_put_if_absent_server_without_the_item_is_asked_for_it(table: Table) -> None:
    replies = error_response("ConditionalCheckFailedException"), response({"Item": THEIRS})
    assert sent(table, *replies) == (False, ["PutItem", "GetItem"])


def test_put_if_absent_item_gone_meanwhile_is_written_again(table: Table) -> None:
    replies = error_response("ConditionalCheckFailedException"), response({}), response({})
    assert sent(table, *replies) == (True, ["PutItem", "GetItem", "PutItem"])


@pytest.mark.parametrize(
    ("condition", "expression"),
    [
        (Condition.absent(NOON), "attribute_not_exists(#pk) OR #ttl <= :now"),
        (Condition.unchanged_since("t"), "#token = :token"),
        (Condition.unchanged_since(None), "attribute_not_exists(#token)"),
        (Condition.none(), None),
    ],
)
def test_condition_parameters_ask_for_the_stored_item(
    condition: Condition, expression: str | None
) -> None:
    parameters = condition.parameters()
    assert parameters.get("ConditionExpression") == expression
    wanted = None if expression is None else "ALL_OLD"
    assert parameters.get("ReturnValuesOnConditionCheckFailure") == wanted
