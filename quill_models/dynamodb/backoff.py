"""The time between tries, and the deadline."""

from __future__ import annotations

import logging
import random
import time
from datetime import timedelta

from quill_models.telemetry.operations import Request, current_operation
from quill_models.telemetry.records import Retry, log

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.05
_MAX_SECONDS = 2.0
# A single try can exceed the deadline: the server waits for a lock, the network drops the
# connection, the machine sleeps. Only another try shows whether the request succeeded.
_MIN_TRIES = 3


class Backoff:
    """The random, growing waits of one call, up to a deadline.

    Args:
        deadline: The time from the first try after which no try begins, except for the first
            three. Zero means one try.
        started: `time.monotonic` at the first try; by default now.
        request: The request that is retried, if any.
    """

    def __init__(
        self, deadline: timedelta, started: float | None = None, request: Request | None = None
    ) -> None:
        self._deadline = deadline.total_seconds()
        self._started = time.monotonic() if started is None else started
        self._request = request
        self._slept = 0.0
        self._has_warned = False
        self.tries = 1

    def wait(self, reason: str) -> bool:
        """Wait before another try, or return False at once if the deadline leaves no time."""
        limit = min(_MAX_SECONDS, _FIRST_SECONDS * 2 ** (self.tries - 1))
        # "Full jitter": callers that collided do not collide again. The numbers are not secret.
        # https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        delay = random.uniform(0, limit)  # noqa: S311
        min_tries = _MIN_TRIES if self._deadline else 1
        if self.spent + delay > self._deadline and self.tries >= min_tries:
            return False
        # One warning for each call, so that a bad hour adds a few lines to the log, not thousands.
        warns = not self._has_warned and (self.spent + delay) * 2 >= self._deadline
        self._has_warned |= warns
        self._report(reason, delay, logging.WARNING if warns else logging.INFO)
        time.sleep(delay)
        self._slept += delay
        self.tries += 1
        return True

    def _report(self, reason: str, delay: float, level: int) -> None:
        request, operation = self._request, current_operation()
        doing = request or operation
        retry = Retry(
            operation=None if operation is None else operation.name,
            request=None if request is None else request.api_name,
            table=None if doing is None else doing.table,
            try_number=self.tries,
            reason=reason,
            wait_ms=round(delay * 1000, 3),
            spent_ms=round(self.spent * 1000, 3),
            deadline_ms=self._deadline * 1000,
        )
        log(retry, level)
        if doing is not None and doing.telemetry is not None:
            if operation is not None:
                operation.count(retry)
            doing.telemetry.retry(retry, doing)

    @property
    def deadline_has_passed(self) -> bool:
        """Whether the deadline has passed."""
        return self.spent > self._deadline

    @property
    def spent(self) -> float:
        """Seconds since the first try; if a test freezes the time, at least the seconds slept."""
        return max(self._slept, time.monotonic() - self._started)
