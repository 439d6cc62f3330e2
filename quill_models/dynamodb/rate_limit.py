"""A limit of read or write units a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Lock

from quill_models.values.errors import InvalidValue

__all__ = ["RateLimit"]

# Python cannot wait for as long as very few units take.
_LONGEST_WAIT_SECONDS = 3600.0


class RateLimit:
    """How fast requests may follow each other, for all threads together.

    What a request takes is known afterwards. So one goes when those before it are paid for, and
    puts off the next by what it took: nothing is saved up while no one works, and no more is
    taken ahead than one request of each thread.

    Args:
        units: read or write units a second; ``None`` for no limit.
        clock: tells seconds that only go forward.
    """

    def __init__(self, units: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if units is not None and not 0 < units < float("inf"):
            raise InvalidValue(f"{units} units a second; allowed is more than 0")
        self._units = units
        self._clock = clock
        self._lock = Lock()
        self._free_at = clock()

    def pause(self) -> float:
        """For how many seconds the next request has to wait; 0 where it may go."""
        return 0.0 if self._units is None else max(0.0, self._free_at - self._clock())

    def wait(self, stopped: Event) -> bool:
        """Wait until the next request may go; ``False`` if ``stopped`` is set before that."""
        while pause := self.pause():
            if stopped.wait(min(pause, _LONGEST_WAIT_SECONDS)):
                return False
        return not stopped.is_set()

    def took(self, units: float) -> None:
        """Count what a request took."""
        if self._units is not None:
            with self._lock:
                self._free_at = max(self._free_at, self._clock()) + units / self._units
