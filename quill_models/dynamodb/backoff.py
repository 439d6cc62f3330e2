"""How long to wait between tries, and when to give up."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from quill_models.telemetry.operations import retrying

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 2.0
# A single try can outlast the deadline: a server that waits for a lock, a connection that went dead
# without a word, a machine that slept. What became of it only another one tells.
_FEWEST_TRIES = 3


class Backoff:
    """The waits of one call: longer each time, never the same for two callers, up to a deadline.

    Args:
        deadline: no try begins later than this after the first, but for the first three. Nothing
            is one try.
    """

    def __init__(self, deadline: timedelta) -> None:
        self._deadline = deadline.total_seconds()
        self._started = time.monotonic()
        self._slept = 0.0
        self._is_late = False
        self.tries = 1

    def wait(self, reason: str) -> bool:
        """Wait before another try; ``False``, at once, where there shall be none.

        Args:
            reason: why the last one came to nothing, in a word; see `Retry`.
        """
        longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** (self.tries - 1))
        # "Full jitter": callers that collided do not collide again. Nothing secret about it.
        # https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        pause = random.uniform(0, longest)  # noqa: S311
        fewest = _FEWEST_TRIES if self._deadline else 1
        if self.spent + pause > self._deadline and self.tries >= fewest:
            return False
        # Once in a call, so that a bad hour is a few lines in the log and not thousands.
        turns_late = not self._is_late and (self.spent + pause) * 2 >= self._deadline
        self._is_late |= turns_late
        retrying(reason, self.tries, pause, self.spent, self._deadline, is_late=turns_late)
        time.sleep(pause)
        self._slept += pause
        self.tries += 1
        return True

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.spent > self._deadline

    @property
    def spent(self) -> float:
        """Seconds since the first try. In a test's frozen time at least those that were slept."""
        return max(self._slept, time.monotonic() - self._started)
