"""Transaction conflicts, which DynamoDB Local never returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from quill_models import (
    Increment,
    Outcome,
    PartialWriteError,
    Quill,
    Settings,
    WebhookEvent,
    connect,
)
from quill_models.errors import Throttled
from quill_models.values.keys import Key
from quill_models.writes.actions import Add
from tests.unit.wire import Response, Wire, error_response, response

pytestmark = pytest.mark.usefixtures("isolated", "delays")

NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)


def event(number: int) -> WebhookEvent:
    return WebhookEvent(
        source="hubspot",
        event_key=str(number),
        event_type="contact.creation",
        occurred_at=NOON,
        received_at=NOON,
        payload={"number": number},
    )


def key_of(action: dict[str, Any]) -> str:
    ((_, parameters),) = action.items()
    key = parameters.get("Key", parameters.get("Item"))
    return str(key["pk"]["S"])


class Contended:
    """A table, some of whose keys other writers keep for themselves."""

    def __init__(self, quill: Quill, is_busy: Callable[[str, int], bool]) -> None:
        self.transactions: list[list[str]] = []
        self._is_busy = is_busy
        Wire(quill._table.client, self._reply)

    def _reply(self, name: str, body: dict[str, Any]) -> Response:
        if name == "PutItem":
            keys = [body["Item"]["pk"]["S"]]
        elif name == "TransactWriteItems":
            keys = [key_of(action) for action in body["TransactItems"]]
        else:
            return response({})
        self.transactions.append(keys)
        busy = [self._is_busy(key, len(self.transactions)) for key in keys]
        if not any(busy):
            return response({})
        if name == "PutItem":
            return error_response("TransactionConflictException")
        reasons = [{"Code": "TransactionConflict" if each else "None"} for each in busy]
        return error_response("TransactionCanceledException", CancellationReasons=reasons)

    def sizes(self) -> list[int]:
        return [len(keys) for keys in self.transactions]


@pytest.fixture
def quill() -> Quill:
    return connect(Settings(deadline=timedelta(seconds=10)))


def created(results: Sequence[Any]) -> int:
    return sum(result.outcome is Outcome.CREATED for result in results)


def test_driver_one_contended_key_does_not_delay_others(quill: Quill) -> None:
    table = Contended(quill, lambda key, sent: key == "WEBHOOK#hubspot#7" and sent < 6)
    results = quill.webhook_events.record_many(event(number) for number in range(100))
    assert created(results) == 100
    # The first is refused as a whole, then all others are done, and the one is tried alone.
    assert table.sizes()[:2] == [100, 99]
    assert set(table.sizes()[2:]) == {1}


def test_driver_many_contended_keys_shrink_transactions(quill: Quill) -> None:
    chance = iter(range(10_000))
    table = Contended(quill, lambda _key, sent: sent < 40 and next(chance) % 7 == 0)
    results = quill.webhook_events.record_many(event(number) for number in range(100))
    assert created(results) == 100
    assert min(table.sizes()) < 7


def test_driver_contended_bucket_is_not_split(quill: Quill) -> None:
    table = Contended(quill, lambda key, sent: key.startswith("METRIC#") and sent < 5)
    results = quill.metrics.add_many(
        Increment("global", "calls", "hour", NOON, 1, str(number)) for number in range(99)
    )
    assert created(results) == 99
    assert table.sizes() == [100] * 5


def test_driver_contended_until_deadline_raises_throttled(
    quill: Quill, delays: list[float]
) -> None:
    Contended(quill, lambda key, _sent: key == "WEBHOOK#hubspot#7")
    given = [event(number) for number in range(10)]
    with pytest.raises(PartialWriteError, match=r"put_item on .* was throttled until its deadline"):
        quill.webhook_events.record_many(given)
    assert 8 < sum(delays) <= 10


def test_driver_error_keeps_known_results_and_pending(quill: Quill) -> None:
    Contended(quill, lambda key, _sent: key == "WEBHOOK#hubspot#7")
    given = [event(number) for number in range(10)]
    with pytest.raises(PartialWriteError) as raised:
        quill.webhook_events.record_many(given)
    assert [result.item.event_key for result in raised.value.results] == list("012345689")
    assert raised.value.pending == [given[7]]


def test_send_single_write_is_retried_until_the_deadline(quill: Quill, delays: list[float]) -> None:
    Contended(quill, lambda key, _sent: key.startswith("METRIC#"))
    with pytest.raises(Throttled, match="Retry the write"):
        quill.metrics.add(Increment("global", "calls", "hour", NOON, 1, "e"))
    assert 8 < sum(delays) <= 10


def test_send_transaction_retry_has_the_same_token(quill: Quill) -> None:
    replies: list[Response] = [
        error_response("InternalServerError", 500),
        response({}),
        response({}),
    ]
    wire = Wire(quill._table.client, lambda _name, _body: response({}))
    _ = quill._table.shards
    wire.reply = lambda _name, _body: replies.pop(0)
    quill.metrics.add(Increment("global", "calls", "hour", NOON, 1, "e"))
    quill.metrics.add(Increment("global", "calls", "hour", NOON, 1, "f"))
    first, again, other = (body["ClientRequestToken"] for _, body in wire.sent[1:])
    assert first == again != other


class TestAdd:
    def add(self, amount: str) -> Add:
        return Add(Key("a", "b"), "value", Decimal(amount), {"write_token": {"S": "t"}}, {})

    @pytest.mark.parametrize(
        ("one", "other", "both"),
        [
            ("1", "2", "3"),
            ("0.1", "0.2", "0.3"),
            ("-5", "5", "0"),
            ("9" * 38, "-1", "9" * 37 + "8"),
            ("1E-130", "1E-130", "2E-130"),
        ],
    )
    def test_merged_two_additions_are_one(self, one: str, other: str, both: str) -> None:
        merged = self.add(one).merged(self.add(other))
        assert merged is not None
        assert merged.amount == Decimal(both)

    @pytest.mark.parametrize(("one", "other"), [("9" * 38, "0.1"), ("1E125", "1E-130")])
    def test_merged_sum_not_storable_returns_none(self, one: str, other: str) -> None:
        assert self.add(one).merged(self.add(other)) is None
