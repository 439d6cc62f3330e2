"""A limit of write units a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from quill_models.errors import InvalidValue

__all__ = ["Pace"]


class Pace:
    """How fast writes may follow each other, for all threads together.

    What a write takes is known afterwards. So a write goes when those before it are paid for, and
    puts off the next one by what it took: nothing is saved up while no one writes, and no more is
    taken ahead than one write of each thread.

    Args:
        units: write units a second; ``None`` for no limit.
        clock: tells seconds that only go forward.
    """

    def __init__(self, units: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if units is not None and not 0 < units < float("inf"):
            raise InvalidValue(f"write units a second are {units}; allowed is more than 0")
        self._units = units
        self._clock = clock
        self._lock = Lock()
        self._free_at = clock()

    def pause(self) -> float:
        """For how many seconds the next write has to wait; 0 where it may go."""
        return 0.0 if self._units is None else max(0.0, self._free_at - self._clock())

    def took(self, units: float) -> None:
        """Count what a write took."""
        if self._units is not None:
            with self._lock:
                self._free_at = max(self._free_at, self._clock()) + units / self._units
