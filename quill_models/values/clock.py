"""The one place that asks what time it is.

A clock is any callable that returns an aware UTC `datetime`; `connect` takes one. The default
reads `datetime.now` at each call, so freezegun's frozen time reaches leases, TTLs and
expiry conditions alike.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from quill_models.values.errors import InvalidValue

__all__ = [
    "EPOCH",
    "Clock",
    "aware_utc",
    "epoch_seconds",
    "epoch_text",
    "expiry",
    "system_clock",
    "utc_day",
    "whole_seconds",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


def aware_utc(value: datetime, what: str = "time") -> datetime:
    """The same instant in UTC; naive times are refused, by an error that says ``what`` it is.

    Raises:
        InvalidValue: the value is no `datetime`, or has no time zone.
    """
    if isinstance(value, datetime) and value.tzinfo is UTC:
        return value
    if not isinstance(value, datetime):
        raise InvalidValue(f"{what} must be a datetime, not {type(value).__name__}: {value!r}")
    if value.utcoffset() is None:
        raise InvalidValue(
            f"{what} has no time zone: {value!r}. Give an aware datetime, "
            "for instance datetime.now(timezone.utc)."
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidValue(f"{what} is outside the years 1 to 9999 in UTC: {value!r}") from None


def utc_day(value: date) -> date:
    """The same day; a time, which may lie on another day in UTC, is refused.

    Raises:
        InvalidValue: the value is no `date`, or a `datetime`.
    """
    if isinstance(value, datetime) or not isinstance(value, date):
        raise InvalidValue(f"a day must be a date, not {type(value).__name__}: {value!r}")
    return value


def epoch_seconds(value: datetime) -> int:
    """Whole seconds since 1970, rounded up: what a DynamoDB TTL attribute holds.

    Rounded up so that nothing expires before its time; compared with a time rounded down, an
    item is absent from the first whole second at or after its expiry.
    """
    return -((EPOCH - value) // timedelta(seconds=1))


def whole_seconds(value: datetime, what: str) -> datetime:
    """The time rounded up to whole seconds, as `epoch_seconds` does.

    Raises:
        InvalidValue: it is beyond the year 9999.
    """
    try:
        return datetime.fromtimestamp(epoch_seconds(value), UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(f"{what} is beyond the year 9999") from None


def epoch_text(value: datetime) -> str:
    """The `epoch_seconds` of a time as text, as DynamoDB's wire format has numbers."""
    return str(epoch_seconds(value))


def expiry(ttl: datetime | timedelta, now: datetime) -> datetime:
    """The instant at which a ``ttl`` ends: itself, or that long from ``now``.

    Raises:
        InvalidValue: a naive time, or neither a `datetime` nor a `timedelta`.
    """
    if isinstance(ttl, timedelta):
        try:
            return now + ttl
        except OverflowError:
            raise InvalidValue(f"ttl of {ttl} from now is beyond the year 9999") from None
    return aware_utc(ttl, "ttl")
