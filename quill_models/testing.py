"""A frozen clock and types for the tests of ETL code.

Installing this package gives pytest the fixtures ``quill``, ``quill_clock``, ``quill_connect``,
``quill_environ``, ``quill_settings`` and ``quill_endpoint``. Import only the types.
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
"""The first time of a `FrozenClock`. In the future, because servers delete expired items."""


class FrozenClock:
    """A clock that shows a fixed time until you move it. Pass it to ``connect(clock=…)``.

    Calling it returns the time. It sets all times of a connection: stamps, leases, expiry and due
    events. Any thread can read it, one can move it. A pickled copy is an independent clock.

    Args:
        now: The first time, an aware ``datetime``.

    Raises:
        InvalidValue: The time has no time zone.
    """

    def __init__(self, now: datetime = FROZEN_AT) -> None:
        self._now = aware_utc(now, "now")

    def __call__(self) -> datetime:
        """Return the time in UTC."""
        return self._now

    def tick(self, by: timedelta = timedelta(seconds=1)) -> datetime:
        """Move the clock, back if ``by`` is negative, and return the new time.

        Raises:
            InvalidValue: ``by`` is not a ``timedelta``, or leads outside the years 1 to 9999.
        """
        if not isinstance(by, timedelta):
            raise InvalidValue(f"by must be a timedelta, got {type(by).__name__}: {by}")
        try:
            self._now += by
        except OverflowError:
            raise InvalidValue(f"{by} from {self._now} is outside the years 1 to 9999") from None
        return self._now

    def move_to(self, now: datetime) -> datetime:
        """Set the clock to an aware time, forward or back, and return it.

        Raises:
            InvalidValue: The time has no time zone.
        """
        self._now = aware_utc(now, "now")
        return self._now

    def __repr__(self) -> str:
        return f"FrozenClock({self._now.isoformat()})"


class Connect(Protocol):
    """The type of the fixture ``quill_connect``: `quill_models.connect`, closed after the test."""

    def __call__(self, settings: Settings | None = None, *, clock: Clock | None = None) -> Quill:
        """Open another connection.

        Args:
            settings: By default those of the test's table.
            clock: By default the clock of the fixture ``quill``.
        """
        ...
