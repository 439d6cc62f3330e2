"""What the clock says in a model: buckets, expiry and stamps."""

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
def test_a_time_falls_in_the_bucket_that_starts_at_its_floor(
    grain: Grain, instant: datetime
) -> None:
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
def test_the_buckets_of_one_moment(grain: Grain, start: datetime) -> None:
    moment = NOON + timedelta(minutes=34, microseconds=5)
    assert grain.floor(moment) == start
    assert metric(grain=grain, bucket_start=start).bucket_start == start
    with pytest.raises(InvalidValue, match="Its bucket starts at") as caught:
        metric(grain=grain, bucket_start=moment)
    assert start.isoformat() in str(caught.value)


@pytest.mark.parametrize("grain", Grain)
@given(st.data())
def test_only_the_start_of_a_bucket_is_taken(grain: Grain, data: st.DataObject) -> None:
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


def test_a_webhook_event_expires_so_long_after_it_was_written() -> None:
    assert _ttl(webhook_event(), NOON) == _epoch(NOON + timedelta(days=30))
    week = timedelta(days=7)
    assert _ttl(webhook_event(), NOON, webhook_retention=week) == _epoch(NOON + week)


def test_a_webhook_event_that_is_held_or_rests_expires_so_long_after_it_is_due() -> None:
    event = webhook_event()
    event.due_at = NOON + timedelta(days=100)
    assert _ttl(event, NOON) == _epoch(NOON + timedelta(days=130))
    event.due_at = NOON - timedelta(days=100)
    assert _ttl(event, NOON) == _epoch(NOON + timedelta(days=30))


def test_expiry_is_rounded_up_to_whole_seconds() -> None:
    late = NOON + timedelta(microseconds=1)
    event = webhook_event()
    assert _ttl(event, late) == _epoch(NOON + timedelta(days=30)) + 1
    assert event.ttl == NOON + timedelta(days=30, seconds=1)


def test_a_job_run_expires_so_long_after_its_lease() -> None:
    lease_end = NOON + timedelta(minutes=5)
    ninety_days = timedelta(days=90)
    assert _ttl(job_run(), NOON) == _epoch(lease_end + ninety_days)
    # Written when the lease has ended.
    much_later = lease_end + timedelta(days=1)
    assert _ttl(job_run(), much_later) == _epoch(much_later + ninety_days)


def test_a_job_run_that_is_over_expires_so_long_after_its_end() -> None:
    run = job_run(status="failed", lease_expires_at=NOON + timedelta(days=365))
    assert _ttl(run, NOON) == _epoch(NOON + timedelta(days=90))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 400))
def test_no_live_run_ever_expires(lease: int, now: int, days: int) -> None:
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
def test_what_is_kept_for_ever_has_no_ttl(model: QuillModel, retention: dict[str, Any]) -> None:
    assert _ttl(model, NOON, **retention) is None


def test_an_expiry_that_is_no_time_is_refused_when_it_is_set() -> None:
    for value in (1_936_000_000, "tomorrow", NOON.replace(tzinfo=None)):
        with pytest.raises(InvalidValue, match="ttl"):
            agent().ttl = value  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def test_an_expiry_at_the_end_of_time_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="ttl"):
        agent().ttl = datetime.max.replace(tzinfo=UTC)


# Stamps.


@KINDS
def test_a_stamp_is_the_time_of_the_clock_and_a_token_of_its_own(kind: str) -> None:
    model = EXAMPLES[kind]()
    later = NOON + timedelta(hours=1)
    model.stamp(table())
    first_token = model.write_token
    model.stamp(table(later), model.created_at)
    assert (model.created_at, model.updated_at) == (NOON, later)
    assert first_token
    assert model.write_token != first_token
