"""Adding to metrics once for each event."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models import Increment, Metric, Outcome, Quill, connect
from quill_models.errors import InvalidValue
from quill_models.testing import FrozenClock
from tests.local_dynamo.support import DAY, HOUR, MINUTE, NOON, on_the_wire
from tests.unit.wire import noticing

CREATED, DUPLICATE = Outcome.CREATED, Outcome.DUPLICATE


def call(event_key: str = "e1", **fields: Any) -> Increment:
    given: dict[str, Any] = {
        "scope": "agent:ada",
        "name": "calls",
        "grain": "hour",
        "at": NOON,
        "amount": 1,
        "event_key": event_key,
        **fields,
    }
    return Increment(**given)


def value(quill: Quill, **fields: Any) -> Decimal | None:
    one = call(**fields)
    metric = quill.metrics.series(one.scope, one.name, one.grain, since=one.bucket_start).first()
    return None if metric is None else metric.value


class TestOnce:
    def test_add_repeated_event_counts_once(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent:
            first = quill.metrics.add(call())
        assert (first.outcome, first.created, first.item) == (CREATED, True, call())
        assert sent.count("TransactWriteItems") == 1
        again = quill.metrics.add(call())
        assert (again.outcome, again.created, again.item) == (DUPLICATE, False, call())
        assert value(quill) == 1

    def test_add_other_amount_is_a_duplicate(self, quill: Quill) -> None:
        quill.metrics.add(call(amount=Decimal("2.5")))
        again = quill.metrics.add(call(amount=7))
        assert (again.outcome, again.item.amount) == (DUPLICATE, Decimal("2.5"))
        assert value(quill) == Decimal("2.5")

    def test_add_other_time_in_bucket_is_a_duplicate(self, quill: Quill) -> None:
        quill.metrics.add(call())
        assert quill.metrics.add(call(at=NOON + 59 * MINUTE)).outcome is DUPLICATE
        assert quill.metrics.add(call(at=NOON + HOUR)).created

    @pytest.mark.parametrize(
        "other",
        [
            {"scope": "global"},
            {"scope": "agent:ada#calls"},
            {"name": "calls#hour"},
            {"grain": "day"},
            {"at": NOON - HOUR},
            {"event_key": "e1#"},
            {"event_key": "E1"},
        ],
        ids=str,
    )
    def test_add_each_event_and_bucket_counts(self, quill: Quill, other: dict[str, Any]) -> None:
        assert quill.metrics.add(call()).created
        assert quill.metrics.add(call(**other)).created
        assert quill.metrics.add(call(**other)).outcome is DUPLICATE

    def test_add_lost_response_counts_once(
        self, quill: Quill, behind_proxy: Quill, proxy: Any
    ) -> None:
        proxy.lose("TransactWriteItems", times=3)
        assert behind_proxy.metrics.add(call()).created
        proxy.lose("TransactWriteItems", times=2)
        results = behind_proxy.metrics.add_many([call(str(n)) for n in range(50)])
        assert [result.outcome for result in results] == [CREATED] * 50
        assert value(quill) == 51

    def test_add_with_retention_expires_after_it(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        kept = replace(quill.settings, increment_retention=timedelta(days=10))
        with connect(kept, clock=quill_clock) as clocked:
            clocked.metrics.add(call())
            quill_clock.tick(9 * DAY)
            assert clocked.metrics.add(call()).outcome is DUPLICATE
            quill_clock.tick(DAY)
            assert clocked.metrics.add(call()).created
        assert value(quill) == 2

    def test_add_without_retention_never_expires(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.metrics.add(call())
        quill_clock.tick(3650 * DAY)
        assert quill.metrics.add(call()).outcome is DUPLICATE


class TestTheMetric:
    @pytest.mark.usefixtures("quill_clock")
    def test_add_new_metric_equals_a_put_one(self, quill: Quill) -> None:
        quill.metrics.add_many([call("a", amount=Decimal("2.5")), call("b", amount=-1)])
        (metric,) = quill.metrics.series("agent:ada", "calls", "hour")
        assert metric == Metric(
            scope="agent:ada", name="calls", grain="hour", bucket_start=NOON, value=Decimal("1.5")
        )
        assert (metric.created_at, metric.updated_at) == (NOON, NOON)
        assert list(quill.metrics.across("calls", "hour", NOON)) == [metric]
        assert list(quill.metrics.list_by_day(NOON.date())) == [metric]
        assert quill.metrics.put(metric).outcome is Outcome.UNCHANGED

    def test_add_to_put_metric_keeps_other_attributes(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        put = Metric(
            scope="agent:ada",
            name="calls",
            grain="hour",
            bucket_start=NOON,
            value=10,
            unit="calls",
            dimensions={"queue": "a"},
            computed_at=NOON,
        )
        quill.metrics.put(put)
        quill_clock.tick(HOUR)
        quill.metrics.add(call(amount=5))
        (metric,) = quill.metrics.series("agent:ada", "calls", "hour")
        assert (metric.value, metric.unit) == (Decimal(15), "calls")
        assert metric.dimensions == {"queue": "a"}
        assert (metric.computed_at, metric.created_at) == (NOON, NOON)
        assert metric.updated_at == NOON + HOUR

    def test_put_lost_response_after_add_returns_created(
        self, quill: Quill, behind_proxy: Quill, proxy: Any
    ) -> None:
        # The put succeeds, but its response is lost. Before its retry, another adds to the bucket.
        class Meanwhile:
            done = False

            def __call__(self, _request: Any) -> None:
                if proxy.passed["PutItem"] and not self.done:
                    self.done = True
                    quill.metrics.add(call())

        meanwhile = Meanwhile()
        proxy.lose("PutItem")
        put = Metric(
            scope="agent:ada", name="calls", grain="hour", bucket_start=NOON, value=Decimal(10)
        )
        with noticing(behind_proxy._table.client.botocore, meanwhile):
            assert behind_proxy.metrics.put(put).outcome is Outcome.CREATED
        assert meanwhile.done
        assert value(quill) == 11

    @settings(max_examples=8, deadline=None)
    @given(
        amounts=st.lists(
            st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-999_999).filter(
                lambda amount: abs(amount) < 10**9
            ),
            min_size=1,
            max_size=130,
        )
    )
    def test_add_sum_is_exact(self, shared: Quill, amounts: list[Decimal]) -> None:
        name = f"sum {hash(tuple(amounts))}"
        increments = [call(str(n), name=name, amount=each) for n, each in enumerate(amounts)]
        shared.metrics.add_many(increments)
        shared.metrics.add_many(reversed(increments))
        assert value(shared, name=name) == sum(amounts)


class TestRefused:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"at": NOON.replace(tzinfo=None)}, "at has no time zone"),
            ({"amount": float("nan")}, "amount must be a finite number"),
            ({"amount": True}, "amount must be a number"),
            ({"amount": Decimal("1" * 39)}, "38 digits"),
            ({"grain": "minute"}, "grain must be one of .* got 'minute'"),
            ({"scope": "ada"}, "scope must be .* got 'ada'"),
            ({"event_key": ""}, "event_key must be non-empty text"),
            ({"event_key": 7}, "event_key must be non-empty text"),
            ({"event_key": "e" * 2048}, "Use a shorter identifier"),
        ],
        ids=str,
    )
    def test_add_invalid_increment_raises_before_any_request(
        self, fields: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InvalidValue, match=message):
            call(**fields)
