"""Conversions of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from freezegun import freeze_time
from hypothesis import example, given

from quill_models.errors import InvalidValue
from quill_models.values.clock import aware_utc, epoch_seconds, expiry, system_clock
from tests.unit.examples import NOON
from tests.unit.strategies import instants

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_system_clock_follows_freezegun() -> None:
    with freeze_time(NOON) as frozen:
        assert system_clock() == NOON
        assert system_clock().tzinfo is UTC
        frozen.tick(timedelta(seconds=2))
        assert system_clock() == NOON + timedelta(seconds=2)


@given(instants())
def test_aware_utc_returns_the_same_instant(instant: datetime) -> None:
    assert aware_utc(instant) == instant
    assert aware_utc(instant).tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (datetime(2031, 5, 17), "started_at has no time zone"),  # noqa: DTZ001
        ("2031-05-17T12:00:00Z", "started_at must be a datetime, got str"),
        (NOON.date(), "started_at must be a datetime, got date"),
        (1_936_000_000, "started_at must be a datetime, got int"),
        (None, "started_at must be a datetime, got NoneType"),
    ],
)
def test_aware_utc_invalid_time_raises_with_its_name(value: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        aware_utc(value, "started_at")


@pytest.mark.parametrize(
    "value",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ],
)
def test_aware_utc_outside_utc_years_raises(value: datetime) -> None:
    with pytest.raises(InvalidValue, match="started_at"):
        aware_utc(value, "started_at")


@given(instants())
@example(datetime(9000, 1, 1, 0, 0, 0, 1, tzinfo=UTC))
def test_epoch_seconds_rounds_up(instant: datetime) -> None:
    exact = instant - EPOCH
    seconds = timedelta(seconds=epoch_seconds(instant))
    assert exact <= seconds < exact + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("instant", "seconds"),
    [
        (EPOCH, 0),
        (EPOCH + timedelta(microseconds=1), 1),
        (EPOCH + timedelta(seconds=1), 1),
        (NOON, 1_936_785_600),
        (NOON + timedelta(microseconds=1), 1_936_785_601),
    ],
)
def test_epoch_seconds_examples(instant: datetime, seconds: int) -> None:
    assert epoch_seconds(instant) == seconds


def test_expiry_is_an_instant_or_time_from_now() -> None:
    tomorrow = NOON + timedelta(days=1)
    assert expiry(timedelta(days=1), NOON) == tomorrow
    assert expiry(tomorrow.astimezone(timezone(timedelta(hours=9))), NOON) == tomorrow


@pytest.mark.parametrize("ttl", [NOON.replace(tzinfo=None), 86_400, "tomorrow"])
def test_expiry_invalid_raises_with_its_name(ttl: Any) -> None:
    with pytest.raises(InvalidValue, match="ttl"):
        expiry(ttl, NOON)
