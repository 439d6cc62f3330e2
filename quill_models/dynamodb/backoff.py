"""How long to wait between tries, and when to give up."""

from __future__ import annotations

import logging
import random
import time
from datetime import timedelta

from quill_models.telemetry.operations import Request, current_operation
from quill_models.telemetry.records import Retry, log

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 2.0
# A single try can outlast the deadline: a server that waits for a lock, a connection that went dead
# without a word, a machine that slept. Only another try shows whether it was done.
_FEWEST_TRIES = 3


class Backoff:
    """The waits of one call: longer each time, never the same for two callers, up to a deadline.

    Args:
        deadline: No try begins later than this after the first, except the first three. Zero is
            one try.
        started: When the first try began, by `time.monotonic`; by default now.
        request: The request that is retried, if it is one.
    """

    def __init__(
        self, deadline: timedelta, started: float | None = None, request: Request | None = None
    ) -> None:
        self._deadline = deadline.total_seconds()
        self._started = time.monotonic() if started is None else started
        self._request = request
        self._slept = 0.0
        self._is_late = False
        self.tries = 1

    def wait(self, reason: str) -> bool:
        """Wait before another try, for the reason of a `Retry`; False at once if there is none."""
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
        self._tell(reason, pause, logging.WARNING if turns_late else logging.INFO)
        time.sleep(pause)
        self._slept += pause
        self.tries += 1
        return True

    def _tell(self, reason: str, pause: float, level: int) -> None:
        request, operation = self._request, current_operation()
        doing = request or operation
        retry = Retry(
            operation=None if operation is None else operation.name,
            request=None if request is None else request.api_name,
            table=None if doing is None else doing.table,
            try_number=self.tries,
            reason=reason,
            wait_ms=round(pause * 1000, 3),
            spent_ms=round(self.spent * 1000, 3),
            deadline_ms=self._deadline * 1000,
        )
        log(retry, level)
        if doing is not None and doing.telemetry is not None:
            if operation is not None:
                operation.count(retry)
            doing.telemetry.retry(retry, doing)

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.spent > self._deadline

    @property
    def spent(self) -> float:
        """Seconds since the first try. In a test's frozen time at least those that were slept."""
        return max(self._slept, time.monotonic() - self._started)
