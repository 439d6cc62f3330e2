"""The limit of capacity units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models.dynamodb.rate_limit import RateLimit
from quill_models.errors import InvalidValue


class Hand:
    """A clock that moves when its time is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    st.floats(0.5, 1000),
    st.lists(st.tuples(st.floats(0, 30), st.floats(0.5, 40)), min_size=1, max_size=30),
)
def test_rate_limit_any_interval_stays_within_units_and_one_write(
    units: float, writes: list[tuple[float, float]]
) -> None:
    clock = Hand()
    limit = RateLimit(units, clock)
    done: list[tuple[float, float]] = []
    for idle, size in writes:
        clock.now += idle
        while (delay := limit.delay()) > 0:
            clock.now += delay
        done.append((clock.now, size))
        limit.consume(size)
    # Between any two writes, the capacity before the later one stays within the limit.
    for first in range(len(done)):
        for last in range(first, len(done)):
            taken = sum(size for _, size in done[first:last])
            elapsed = done[last][0] - done[first][0]
            assert taken <= elapsed * units * (1 + 1e-6) + 1e-6


def test_rate_limit_wait_is_as_short_as_possible() -> None:
    clock = Hand()
    limit = RateLimit(10, clock)
    assert limit.delay() == 0
    limit.consume(5)
    assert limit.delay() == pytest.approx(0.5)
    limit.consume(5)
    assert limit.delay() == pytest.approx(1)
    clock.now += 1
    assert limit.delay() == 0
    # Unused capacity is not saved.
    clock.now += 100
    limit.consume(20)
    assert limit.delay() == pytest.approx(2)


def test_rate_limit_none_never_waits() -> None:
    limit = RateLimit(None)
    limit.consume(1e9)
    assert limit.delay() == 0


@pytest.mark.parametrize("units", [0, -1, float("inf"), float("nan")])
def test_rate_limit_not_positive_raises_invalid_value(units: float) -> None:
    with pytest.raises(InvalidValue, match="units a second"):
        RateLimit(units)
