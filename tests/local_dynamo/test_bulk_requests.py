"""How many requests a bulk call takes, and of which kind."""

from collections import Counter
from collections.abc import Iterable

import pytest

from quill_models import Increment, Outcome, Prefer, Quill, WebhookEvent
from quill_models.testing import FrozenClock
from tests.local_dynamo.support import DAY, HOUR, NOON, event, interaction, on_the_wire

CREATED, DUPLICATE = Outcome.CREATED, Outcome.DUPLICATE
TRANSACTION, READ, INSERTS, PUT = (
    "TransactWriteItems",
    "BatchGetItem",
    "BatchExecuteStatement",
    "PutItem",
)


def numbered(numbers: Iterable[int]) -> list[WebhookEvent]:
    return [event(str(number)) for number in numbers]


def outcomes(quill: Quill, events: Iterable[WebhookEvent], prefer: str = "speed") -> Counter[str]:
    results = quill.webhook_events.record_many(events, prefer=prefer)
    return Counter(result.outcome for result in results)


@pytest.fixture(autouse=True)
def _knows_its_shards(quill: Quill) -> None:
    # Asked for once a minute, and not what is counted here.
    _ = quill._table.shards


class TestForSpeed:
    def test_speed_hundred_items_cost_one_transaction(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent:
            assert outcomes(quill, numbered(range(100))) == {CREATED: 100}
            assert sent == [TRANSACTION]
            assert outcomes(quill, numbered(range(100))) == {DUPLICATE: 100}
            assert sent == [TRANSACTION] * 2
            assert outcomes(quill, numbered(range(50, 150))) == {CREATED: 50, DUPLICATE: 50}
            assert sent == [TRANSACTION] * 4

    def test_speed_after_mostly_stored_reads_first(self, quill: Quill) -> None:
        outcomes(quill, numbered(range(400)))
        with on_the_wire(quill) as sent:
            assert outcomes(quill, numbered(range(400))) == {DUPLICATE: 400}
        assert sent == [TRANSACTION, READ, READ, READ]

    def test_speed_after_mostly_new_writes_first_again(self, quill: Quill) -> None:
        outcomes(quill, numbered(range(250)))
        with on_the_wire(quill) as sent:
            assert outcomes(quill, numbered(range(600))) == {DUPLICATE: 250, CREATED: 350}
        # Two chunks of stored items, a half, and reads by the chunks in flight; then only writes.
        assert sent[:2] == [TRANSACTION, READ]
        assert 3 <= sent.count(READ) <= 5
        assert len(sent) <= 11

    def test_speed_two_actions_each_fill_a_transaction_with_50(self, quill: Quill) -> None:
        calls = [interaction(str(n), source="crm", external_id=str(n)) for n in range(100)]
        with on_the_wire(quill) as sent:
            results = quill.interactions.record_many(calls)
        assert {result.outcome for result in results} == {CREATED}
        assert sent == [TRANSACTION] * 2

    def test_speed_chunks_sharing_a_key_are_sequential(self, quill: Quill) -> None:
        # If both were in flight, it would be random which one is created.
        for start in range(0, 4000, 1000):
            numbers = [start + n % 130 for n in range(1000)]
            results = quill.webhook_events.record_many(numbered(numbers))
            assert [result.created for result in results] == [True] * 130 + [False] * 870

    def test_speed_empty_input_sends_nothing(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent:
            assert quill.webhook_events.record_many([]) == []
        assert sent == []


class TestForCost:
    def test_cost_hundred_items_cost_batches_of_25(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent:
            assert outcomes(quill, numbered(range(100)), "cost") == {CREATED: 100}
            assert sent == [INSERTS] * 4
            assert outcomes(quill, numbered(range(100)), "cost") == {DUPLICATE: 100}
            assert sent == [INSERTS] * 8 + [READ]

    def test_cost_after_mostly_stored_reads_first(self, quill: Quill) -> None:
        outcomes(quill, numbered(range(300)))
        with on_the_wire(quill) as sent:
            assert outcomes(quill, numbered(range(300)), "cost") == {DUPLICATE: 300}
        assert sent == [INSERTS] * 4 + [READ] * 3

    @pytest.mark.usefixtures("quill_clock")
    def test_cost_stores_the_same_items_as_speed(self, quill: Quill) -> None:
        fast, cheap = (
            quill.webhook_events.record_many([event(prefer)], prefer=prefer)[0].item
            for prefer in Prefer
        )
        stored = quill.webhook_events.get("hubspot", "cost")
        assert stored is not None
        assert stored.write_token == cheap.write_token
        different = {"pk", "gsi3pk", "gsi2pk", "event_key", "write_token"}
        one, other = fast.to_item(4), stored.to_item(4)
        assert one.keys() == other.keys()
        assert {name for name in one if one[name] != other[name]} <= different

    def test_cost_expired_item_is_replaced(self, quill: Quill, quill_clock: FrozenClock) -> None:
        outcomes(quill, numbered(range(10)))
        quill_clock.tick(31 * DAY)
        with on_the_wire(quill) as sent:
            assert outcomes(quill, numbered(range(20)), "cost") == {CREATED: 20}
        assert sent.count(PUT) == 10
        assert outcomes(quill, numbered(range(20)), "cost") == {DUPLICATE: 20}

    def test_cost_items_with_claims_use_transactions(self, quill: Quill) -> None:
        calls = [interaction(str(n), source="crm", external_id=str(n)) for n in range(20)]
        calls += [interaction(f"plain {n}") for n in range(20)]
        with on_the_wire(quill) as sent:
            results = quill.interactions.record_many(calls, prefer=Prefer.COST)
        assert {result.outcome for result in results} == {CREATED}
        assert sorted(sent) == [INSERTS, TRANSACTION]

    def test_cost_changed_item_is_put_alone(self, quill: Quill) -> None:
        quill.interactions.put_many(interaction(str(n)) for n in range(30))
        changed = [interaction(str(n), subject="new") for n in range(30)]
        with on_the_wire(quill) as sent:
            results = quill.interactions.put_many(changed, prefer="cost")
        assert {result.outcome for result in results} == {Outcome.UPDATED}
        assert Counter(sent) == {INSERTS: 2, READ: 1, PUT: 30}

    def test_prefer_unknown_value_raises(self, quill: Quill) -> None:
        with pytest.raises(ValueError, match="must be one of speed, cost"):
            quill.webhook_events.record_many([event()], prefer="beauty")


class TestIncrements:
    def test_add_many_one_bucket_costs_one_addition(self, quill: Quill) -> None:
        increments = [Increment("global", "calls", "hour", NOON, n, str(n)) for n in range(1, 100)]
        with on_the_wire(quill) as sent:
            results = quill.metrics.add_many(increments)
            assert {result.outcome for result in results} == {CREATED}
            assert sent == [TRANSACTION]
            assert {each.outcome for each in quill.metrics.add_many(increments)} == {DUPLICATE}
            assert sent == [TRANSACTION] * 2
        (metric,) = quill.metrics.series("global", "calls", "hour")
        assert metric.value == sum(range(1, 100))

    def test_add_many_several_buckets_cost_one_addition_each(self, quill: Quill) -> None:
        increments = [
            Increment("global", "calls", grain, NOON + n * HOUR, 1, f"{n}")
            for n in range(24)
            for grain in ("hour", "day", "month")
        ]
        with on_the_wire(quill) as sent:
            quill.metrics.add_many(increments)
        # 72 remembered, and 24 hours, two days and a month.
        assert sent == [TRANSACTION]
        assert [metric.value for metric in quill.metrics.series("global", "calls", "day")] == [
            12,
            12,
        ]
