"""What the tests of ETL code name beside pytest's fixtures: a frozen clock, and types.

Installing this package gives pytest the fixtures ``quill``, ``quill_clock``, ``quill_connect``,
``quill_environ``, ``quill_settings`` and ``quill_endpoint``; nothing has to be imported for them,
except for annotations.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from quill_models.quill import Quill
from quill_models.settings import Settings
from quill_models.values.clock import Clock, aware_utc
from quill_models.values.errors import InvalidValue

__all__ = ["FROZEN_AT", "Connect", "FrozenClock"]

FROZEN_AT = datetime(2040, 5, 17, 12, 0, tzinfo=UTC)
"""Where a `FrozenClock` stands at first. A noon in the future, as servers delete what is past."""


class FrozenClock:
    """A clock that stands still until it is moved: for ``connect(clock=…)``.

    Calling it gives the time it shows. All that a connection does with time follows it: stamps,
    leases, expiry, and what is due. Any thread may read it; one moves it. It can be pickled, and
    then is a clock of its own.

    Args:
        now: where it stands at first, an aware ``datetime``.

    Raises:
        InvalidValue: a time without a time zone.
    """

    def __init__(self, now: datetime = FROZEN_AT) -> None:
        self._now = aware_utc(now, "now")

    def __call__(self) -> datetime:
        """The time it shows, in UTC."""
        return self._now

    def tick(self, by: timedelta = timedelta(seconds=1)) -> datetime:
        """Move it by a length of time, back where that is negative; the time it then shows.

        Raises:
            InvalidValue: ``by`` is no ``timedelta``, or leads out of the years 1 to 9999.
        """
        if not isinstance(by, timedelta):
            raise InvalidValue(f"a clock ticks by a timedelta, not {type(by).__name__}: {by!r}")
        try:
            self._now += by
        except OverflowError:
            raise InvalidValue(f"{by} from {self._now} is outside the years 1 to 9999") from None
        return self._now

    def move_to(self, now: datetime) -> datetime:
        """Set it to an aware time, forward or back; the time it then shows.

        Raises:
            InvalidValue: a time without a time zone.
        """
        self._now = aware_utc(now, "now")
        return self._now

    def __repr__(self) -> str:
        return f"FrozenClock({self._now.isoformat()})"


class Connect(Protocol):
    """What the fixture ``quill_connect`` is: `quill_models.connect`, closed after the test."""

    def __call__(self, settings: Settings | None = None, *, clock: Clock | None = None) -> Quill:
        """Connect once more.

        Args:
            settings: by default those of the test's table.
            clock: by default that of the fixture ``quill``.
        """
        ...
