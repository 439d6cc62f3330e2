"""The frozen clock."""

import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from freezegun import freeze_time

from quill_models import connect
from quill_models.errors import InvalidValue
from quill_models.testing import FROZEN_AT, FrozenClock

SECOND = timedelta(seconds=1)


def test_frozen_clock_shows_the_same_time_until_moved() -> None:
    clock = FrozenClock()
    assert clock() == clock() == FROZEN_AT
    assert clock.tick() == clock() == FROZEN_AT + SECOND
    assert clock.tick(timedelta(hours=-1)) == clock() == FROZEN_AT + SECOND - timedelta(hours=1)
    past = datetime(1999, 1, 1, tzinfo=UTC)
    assert clock.move_to(past) == clock() == past
    assert repr(clock) == "FrozenClock(1999-01-01T00:00:00+00:00)"


def test_frozen_clock_any_zone_shows_utc() -> None:
    zone = timezone(timedelta(hours=2))
    clock = FrozenClock(datetime(2040, 1, 1, 2, tzinfo=zone))
    assert clock() == datetime(2040, 1, 1, tzinfo=UTC)
    assert clock().tzinfo is UTC
    assert clock.move_to(datetime(2040, 1, 2, 2, tzinfo=zone)).tzinfo is UTC


def test_frozen_clock_invalid_time_raises_and_stays() -> None:
    naive = datetime(2040, 1, 1)  # noqa: DTZ001
    with pytest.raises(InvalidValue, match="time zone"):
        FrozenClock(naive)
    clock = FrozenClock()
    with pytest.raises(InvalidValue, match="time zone"):
        clock.move_to(naive)
    with pytest.raises(InvalidValue, match="timedelta, got int: 5"):
        clock.tick(5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match="years 1 to 9999"):
        clock.tick(timedelta.max)
    assert clock() == FROZEN_AT


def test_frozen_clock_ignores_freezegun() -> None:
    with freeze_time("2031-01-01"):
        clock = FrozenClock()
        assert clock() == FROZEN_AT
        assert clock.tick() == FROZEN_AT + SECOND
    assert clock() == FROZEN_AT + SECOND


def test_frozen_clock_pickled_is_independent() -> None:
    clock = FrozenClock()
    sent: FrozenClock = pickle.loads(pickle.dumps(clock))  # noqa: S301
    clock.tick()
    assert sent() == FROZEN_AT


def test_frozen_clock_is_a_clock() -> None:
    clock = FrozenClock()
    assert connect(clock=clock).table.clock is clock
