"""A limit of read or write units a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Lock

from quill_models.values.errors import InvalidValue

__all__ = ["RateLimit"]

# Python cannot wait as long as a very low limit requires.
_MAX_WAIT_SECONDS = 3600.0


class RateLimit:
    """A limit for the requests of all threads together.

    The capacity of a request is known only afterwards. So a request starts when the ones before it
    have been paid for, and delays the next one by its own capacity. Unused capacity is not saved.

    Args:
        units: Read or write units a second. ``None`` for no limit.
        clock: Returns monotonic seconds.
    """

    def __init__(self, units: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if units is not None and not 0 < units < float("inf"):
            raise InvalidValue(f"units a second must be more than 0, got {units}")
        self._units = units
        self._clock = clock
        self._lock = Lock()
        self._free_at = clock()

    def delay(self) -> float:
        """Return the seconds until the next request can start, or 0."""
        return 0.0 if self._units is None else max(0.0, self._free_at - self._clock())

    def wait(self, stopped: Event) -> bool:
        """Wait until the next request can start. Return ``False`` if ``stopped`` is set first."""
        while delay := self.delay():
            if stopped.wait(min(delay, _MAX_WAIT_SECONDS)):
                return False
        return not stopped.is_set()

    def consume(self, units: float) -> None:
        """Count the capacity of a request."""
        if self._units is not None:
            with self._lock:
                self._free_at = max(self._free_at, self._clock()) + units / self._units
