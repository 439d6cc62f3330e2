"""Metrics: values of buckets, series, and every scope in one bucket."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from quill_models import Metric, Outcome, Quill
from quill_models.errors import InvalidValue
from quill_models.testing import FrozenClock
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    SECOND,
    is_as_stored,
    on_the_wire,
)

CREATED, UPDATED = Outcome.CREATED, Outcome.UPDATED
UNCHANGED, STALE = Outcome.UNCHANGED, Outcome.STALE
DAY_1 = datetime(2031, 5, 17, tzinfo=UTC)


def calls(**fields: Any) -> Metric:
    given: dict[str, Any] = {
        "scope": "agent:ada",
        "name": "calls",
        "grain": "day",
        "bucket_start": DAY_1,
        "value": 1,
        "unit": "calls",
        "computed_at": DAY_1 + DAY,
        **fields,
    }
    return Metric(**given)


def starts(metrics: Any) -> list[int]:
    return [(metric.bucket_start - DAY_1) // DAY for metric in metrics]


class TestPut:
    def test_put_returns_every_outcome(self, quill: Quill, quill_clock: FrozenClock) -> None:
        put = quill.metrics.put
        created = put(calls())
        assert (created.outcome, created.item) == (CREATED, calls())
        assert is_as_stored(quill, created.item)
        quill_clock.tick(SECOND)
        with on_the_wire(quill) as sent:
            unchanged = put(calls())
        assert (unchanged.outcome, sent) == (UNCHANGED, ["PutItem"])
        assert is_as_stored(quill, unchanged.item)
        updated = put(calls(value=Decimal("2.5"), computed_at=DAY_1 + 2 * DAY))
        assert updated.outcome is UPDATED
        assert updated.item.created_at == created.item.created_at
        assert is_as_stored(quill, updated.item)
        stale = put(calls(value=3))
        assert (stale.outcome, stale.item) == (STALE, updated.item)
        (only,) = quill.metrics.series("agent:ada", "calls", "day")
        assert only == updated.item

    @pytest.mark.parametrize(
        "value",
        [
            Decimal(12345678901234567890123456789012345678),
            Decimal("-0.1"),
            Decimal("9.9E+125"),
            Decimal("1E-130"),
            0,
            0.1,
        ],
    )
    def test_put_numbers_are_exact(self, quill: Quill, value: Any) -> None:
        quill.metrics.put(calls(value=value))
        (stored_metric,) = quill.metrics.series("agent:ada", "calls", "day")
        assert stored_metric.value == Decimal(str(value))
        assert quill.metrics.put(calls(value=value)).outcome is UNCHANGED

    def test_put_equal_number_in_other_notation_is_unchanged(self, quill: Quill) -> None:
        quill.metrics.put(calls(value=Decimal("1.10")))
        assert quill.metrics.put(calls(value=1.1)).outcome is UNCHANGED

    def test_put_number_too_small_raises(self) -> None:
        with pytest.raises(InvalidValue):
            calls(value=Decimal("1E-131"))


class TestSeries:
    def test_series_order_and_range_are_by_time(self, quill: Quill) -> None:
        quill.metrics.put_many(calls(bucket_start=DAY_1 + n * DAY) for n in (2, 0, 10, 1, -1))

        def series(**options: Any) -> list[int]:
            return starts(quill.metrics.series("agent:ada", "calls", "day", **options))

        assert series() == [-1, 0, 1, 2, 10]
        assert series(newest_first=True) == [10, 2, 1, 0, -1]
        assert series(since=DAY_1) == [0, 1, 2, 10]
        assert series(until=DAY_1) == [-1]
        assert series(since=DAY_1, until=DAY_1 + 2 * DAY) == [0, 1]
        assert series(since=DAY_1, until=DAY_1 + 2 * DAY + timedelta(microseconds=1)) == [0, 1, 2]
        assert series(since=DAY_1 + HOUR, until=DAY_1 + DAY) == []
        assert series(since=DAY_1, until=DAY_1) == []
        assert series(since=DAY_1 + DAY, until=DAY_1) == []
        assert series(since=DAY_1, until=DAY_1 + 2 * DAY, newest_first=True) == [1, 0]
        with pytest.raises(InvalidValue, match="time zone"):
            series(since=datetime(2031, 5, 17))  # noqa: DTZ001

    def test_series_excludes_other_series(self, quill: Quill) -> None:
        quill.metrics.put_many(
            [
                calls(scope=scope, name=name, grain=grain)
                for scope in ("agent:1", "agent:10", "team:1", "global")
                for name in ("calls", "calls#day", "call")
                for grain in ("day", "hour")
            ]
        )
        (only,) = quill.metrics.series("agent:1", "calls", "day")
        assert (only.scope, only.name, only.grain) == ("agent:1", "calls", "day")
        assert quill.metrics.series("agent:2", "calls", "day").first() is None
        with pytest.raises(ValueError, match="year"):
            quill.metrics.series("agent:1", "calls", "year")

    def test_series_reads_the_last_write(self, quill: Quill) -> None:
        for number in range(10):
            quill.metrics.put(calls(value=number))
            (only,) = quill.metrics.series("agent:ada", "calls", "day")
            assert only.value == number


class TestAcross:
    def test_across_returns_every_scope_in_order(self, quill: Quill) -> None:
        scopes = ["team:b", "agent:10", "global", "agent:1", "agent:1#0", "agent:é"]
        quill.metrics.put_many(calls(scope=scope) for scope in scopes)
        quill.metrics.put(calls(scope="agent:x", bucket_start=DAY_1 + DAY))
        quill.metrics.put(calls(scope="agent:y", name="mails"))
        quill.metrics.put(calls(scope="agent:z", grain="hour"))
        across = quill.metrics.across("calls", "day", DAY_1)
        assert [metric.scope for metric in across] == sorted(scopes)
        assert across.count() == 6


class TestDay:
    def test_list_by_day_returns_every_bucket_of_the_day(self, quill: Quill) -> None:
        on_it = [
            calls(scope=scope, name=name, grain=grain, bucket_start=start)
            for start, grain in ((DAY_1, "day"), (DAY_1, "hour"), (DAY_1 + 23 * HOUR, "hour"))
            for scope in ("agent:1", "agent:10", "global")
            for name in ("calls", "mails#")
        ]
        quill.metrics.put_many(reversed(on_it))
        quill.metrics.put_many(
            [
                calls(grain="hour", bucket_start=DAY_1 - HOUR),
                calls(bucket_start=DAY_1 + DAY),
                calls(grain="week", bucket_start=DAY_1 - timedelta(days=DAY_1.weekday())),
            ]
        )
        ordered = sorted(on_it, key=lambda m: (m.bucket_start, m.scope, m.name, m.grain))
        listed = quill.metrics.list_by_day(DAY_1.date())
        assert list(listed) == ordered
        assert listed.count() == len(on_it)
        page = listed.page(5)
        assert page.items + listed.page(100, page.cursor).items == ordered
        assert quill.metrics.list_by_day(DAY_1.date(), newest_first=True).first() == ordered[-1]
        assert list(quill.metrics.list_by_day((DAY_1 + 2 * DAY).date())) == []

    def test_list_by_day_datetime_raises(self, quill: Quill) -> None:
        with pytest.raises(InvalidValue, match="must be a date, got datetime"):
            quill.metrics.list_by_day(DAY_1)
