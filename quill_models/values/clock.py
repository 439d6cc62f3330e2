"""The clock, and conversions of times.

A clock is any callable that returns an aware UTC `datetime`; pass one to `connect`. The default
reads `datetime.now` at each call, so freezegun affects leases, TTLs and expiry conditions alike.
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
    """Return the current time in UTC."""
    return datetime.now(UTC)


def aware_utc(value: datetime, what: str = "time") -> datetime:
    """Return the same instant in UTC. Errors name the value by ``what``.

    Raises:
        InvalidValue: The value is not a `datetime`, or has no time zone.
    """
    if isinstance(value, datetime) and value.tzinfo is UTC:
        return value
    if not isinstance(value, datetime):
        raise InvalidValue(f"{what} must be a datetime, got {type(value).__name__}: {value}")
    if value.utcoffset() is None:
        raise InvalidValue(
            f"{what} has no time zone: {value}. Pass an aware datetime, such as "
            "datetime.now(timezone.utc)."
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidValue(f"{what} is outside the years 1 to 9999 in UTC: {value}") from None


def utc_day(value: date) -> date:
    """Return the same day, but reject a time, which may be on another day in UTC.

    Raises:
        InvalidValue: The value is not a `date`, or is a `datetime`.
    """
    if isinstance(value, datetime) or not isinstance(value, date):
        raise InvalidValue(f"day must be a date, got {type(value).__name__}: {value}")
    return value


def epoch_seconds(value: datetime) -> int:
    """Return the seconds since 1970, rounded up, as in a DynamoDB TTL attribute.

    No item expires before its time. It is absent from the first whole second at or after its
    expiry.
    """
    return -((EPOCH - value) // timedelta(seconds=1))


def whole_seconds(value: datetime, what: str) -> datetime:
    """Return the time rounded up to whole seconds, as `epoch_seconds` does.

    Raises:
        InvalidValue: The time is beyond the year 9999.
    """
    try:
        return datetime.fromtimestamp(epoch_seconds(value), UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(f"{what} is beyond the year 9999") from None


def epoch_text(value: datetime) -> str:
    """Return the `epoch_seconds` of a time as text, the wire format of numbers."""
    return str(epoch_seconds(value))


def expiry(ttl: datetime | timedelta, now: datetime) -> datetime:
    """Return the instant of a ``ttl``, which is a time or a time from ``now``.

    Raises:
        InvalidValue: The ``ttl`` is naive, or neither a `datetime` nor a `timedelta`.
    """
    if isinstance(ttl, timedelta):
        try:
            return now + ttl
        except OverflowError:
            raise InvalidValue(f"ttl of {ttl} from now is beyond the year 9999") from None
    return aware_utc(ttl, "ttl")
