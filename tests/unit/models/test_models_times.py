"""Times of models: buckets, expiry and stamps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models import Grain
from quill_models.errors import InvalidValue
from quill_models.models import QuillModel
from tests.unit.examples import (
    EXAMPLES,
    KINDS,
    NOON,
    agent,
    interaction,
    job_run,
    metric,
    table,
    webhook_event,
)
from tests.unit.strategies import instants

# Buckets.

_LENGTHS = {
    Grain.HOUR: timedelta(hours=1),
    Grain.DAY: timedelta(days=1),
    Grain.WEEK: timedelta(days=7),
}


def _next(grain: Grain, start: datetime) -> datetime:
    if grain is Grain.MONTH:
        return (start + timedelta(days=32)).replace(day=1)
    return start + _LENGTHS[grain]


@pytest.mark.parametrize("grain", Grain)
@given(instants())
def test_floor_is_the_start_of_the_bucket(grain: Grain, instant: datetime) -> None:
    utc = instant.astimezone(UTC)
    start = grain.floor(utc)
    assert start <= utc < _next(grain, start)
    assert grain.floor(start) == start
    assert grain.floor(_next(grain, start)) == _next(grain, start)
    assert grain.floor(_next(grain, start) - timedelta(microseconds=1)) == start


@pytest.mark.parametrize(
    ("grain", "start"),
    [
        (Grain.HOUR, datetime(2031, 5, 17, 12, tzinfo=UTC)),
        (Grain.DAY, datetime(2031, 5, 17, tzinfo=UTC)),
        # A Monday.
        (Grain.WEEK, datetime(2031, 5, 12, tzinfo=UTC)),
        (Grain.MONTH, datetime(2031, 5, 1, tzinfo=UTC)),
    ],
)
def test_floor_of_each_grain(grain: Grain, start: datetime) -> None:
    moment = NOON + timedelta(minutes=34, microseconds=5)
    assert grain.floor(moment) == start
    assert metric(grain=grain, bucket_start=start).bucket_start == start
    with pytest.raises(InvalidValue, match="Its bucket starts at") as caught:
        metric(grain=grain, bucket_start=moment)
    assert start.isoformat() in str(caught.value)


@pytest.mark.parametrize("grain", Grain)
@given(st.data())
def test_metric_inside_a_bucket_raises(grain: Grain, data: st.DataObject) -> None:
    instant = data.draw(instants()).astimezone(UTC)
    start = grain.floor(instant)
    assert metric(grain=grain, bucket_start=start).bucket_start == start
    with pytest.raises(InvalidValue, match="bucket_start"):
        metric(grain=grain, bucket_start=start + timedelta(microseconds=1))


# Expiry.


def _ttl(model: QuillModel, now: datetime, **retention: Any) -> int | None:
    model.stamp(table(now, **retention))
    stored = model.to_item(1).get("ttl")
    return None if stored is None else int(stored["N"])


def _epoch(instant: datetime) -> int:
    return int(instant.timestamp())


def test_event_expires_after_its_write() -> None:
    assert _ttl(webhook_event(), NOON) == _epoch(NOON + timedelta(days=30))
    week = timedelta(days=7)
    assert _ttl(webhook_event(), NOON, webhook_retention=week) == _epoch(NOON + week)


def test_event_leased_or_in_backoff_expires_after_its_due_time() -> None:
    event = webhook_event()
    event.due_at = NOON + timedelta(days=100)
    assert _ttl(event, NOON) == _epoch(NOON + timedelta(days=130))
    event.due_at = NOON - timedelta(days=100)
    assert _ttl(event, NOON) == _epoch(NOON + timedelta(days=30))


def test_ttl_is_rounded_up_to_seconds() -> None:
    late = NOON + timedelta(microseconds=1)
    event = webhook_event()
    assert _ttl(event, late) == _epoch(NOON + timedelta(days=30)) + 1
    assert event.ttl == NOON + timedelta(days=30, seconds=1)


def test_job_run_running_expires_after_its_lease() -> None:
    lease_end = NOON + timedelta(minutes=5)
    ninety_days = timedelta(days=90)
    assert _ttl(job_run(), NOON) == _epoch(lease_end + ninety_days)
    # Written when the lease has ended.
    much_later = lease_end + timedelta(days=1)
    assert _ttl(job_run(), much_later) == _epoch(much_later + ninety_days)


def test_job_run_ended_expires_after_its_end() -> None:
    run = job_run(status="failed", lease_expires_at=NOON + timedelta(days=365))
    assert _ttl(run, NOON) == _epoch(NOON + timedelta(days=90))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 400))
def test_job_run_running_never_expires_before_its_lease(lease: int, now: int, days: int) -> None:
    run = job_run(lease_expires_at=NOON + timedelta(seconds=lease))
    expires = _ttl(run, NOON + timedelta(seconds=now), job_retention=timedelta(days=days))
    assert expires is not None
    assert expires > _epoch(run.lease_expires_at)


@pytest.mark.parametrize(
    ("model", "retention"),
    [
        (webhook_event(), {"webhook_retention": None}),
        (job_run(), {"job_retention": None}),
        (agent(), {}),
        (interaction(), {}),
        (metric(), {}),
    ],
)
def test_retention_none_has_no_ttl(model: QuillModel, retention: dict[str, Any]) -> None:
    assert _ttl(model, NOON, **retention) is None


def test_ttl_not_a_time_raises() -> None:
    for value in (1_936_000_000, "tomorrow", NOON.replace(tzinfo=None)):
        with pytest.raises(InvalidValue, match="ttl"):
            agent().ttl = value  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def test_ttl_beyond_year_9999_raises() -> None:
    with pytest.raises(InvalidValue, match="ttl"):
        agent().ttl = datetime.max.replace(tzinfo=UTC)


# Stamps.


@KINDS
def test_stamp_sets_time_and_unique_token(kind: str) -> None:
    model = EXAMPLES[kind]()
    later = NOON + timedelta(hours=1)
    model.stamp(table())
    first_token = model.write_token
    model.stamp(table(later), model.created_at)
    assert (model.created_at, model.updated_at) == (NOON, later)
    assert first_token
    assert model.write_token != first_token
