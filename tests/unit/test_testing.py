"""The frozen clock."""

import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from freezegun import freeze_time

from quill_models import connect
from quill_models.errors import InvalidValue
from quill_models.testing import FROZEN_AT, FrozenClock

SECOND = timedelta(seconds=1)


def test_stands_still_until_it_is_moved() -> None:
    clock = FrozenClock()
    assert clock() == clock() == FROZEN_AT
    assert clock.tick() == clock() == FROZEN_AT + SECOND
    assert clock.tick(timedelta(hours=-1)) == clock() == FROZEN_AT + SECOND - timedelta(hours=1)
    past = datetime(1999, 1, 1, tzinfo=UTC)
    assert clock.move_to(past) == clock() == past
    assert repr(clock) == "FrozenClock(1999-01-01T00:00:00+00:00)"


def test_any_zone_is_taken_and_utc_is_shown() -> None:
    zone = timezone(timedelta(hours=2))
    clock = FrozenClock(datetime(2040, 1, 1, 2, tzinfo=zone))
    assert clock() == datetime(2040, 1, 1, tzinfo=UTC)
    assert clock().tzinfo is UTC
    assert clock.move_to(datetime(2040, 1, 2, 2, tzinfo=zone)).tzinfo is UTC


def test_what_is_no_time_is_refused_and_changes_nothing() -> None:
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


def test_freezegun_does_not_move_it() -> None:
    with freeze_time("2031-01-01"):
        clock = FrozenClock()
        assert clock() == FROZEN_AT
        assert clock.tick() == FROZEN_AT + SECOND
    assert clock() == FROZEN_AT + SECOND


def test_another_process_gets_one_of_its_own() -> None:
    clock = FrozenClock()
    sent: FrozenClock = pickle.loads(pickle.dumps(clock))  # noqa: S301
    clock.tick()
    assert sent() == FROZEN_AT


def test_is_a_clock() -> None:
    clock = FrozenClock()
    assert connect(clock=clock).table.clock is clock
