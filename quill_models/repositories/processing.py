"""The loop of a worker: claim, handle, complete or fail."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any, Protocol

from quill_models.errors import LeaseLost, QuillError
from quill_models.models import EventStatus, WebhookEvent

__all__ = ["Handler", "Processed", "Worker", "stopped_by_signal"]

Handler = Callable[[WebhookEvent], object]

# A lease is renewed so many times before it would end.
_RENEWALS_PER_LEASE = 3


@dataclass
class Processed:
    """What came of the events a worker has handled.

    Attributes:
        completed: done with.
        failed: to be tried again after a pause.
        dead: failed for the last time.
        lost: their lease ended before they were done with; another worker has them.
        released: given back without having been tried, when the worker was interrupted.
    """

    completed: int = 0
    failed: int = 0
    dead: int = 0
    lost: int = 0
    released: int = 0


class Queue(Protocol):
    """What a worker needs of the repository."""

    def claim(self, source: str, limit: int, lease: timedelta) -> list[WebhookEvent]: ...
    def renew(self, event: WebhookEvent, lease: timedelta) -> WebhookEvent: ...
    def complete(self, event: WebhookEvent) -> WebhookEvent: ...
    def fail(self, event: WebhookEvent, error: BaseException) -> WebhookEvent: ...
    def release(self, event: WebhookEvent) -> WebhookEvent: ...


class Worker:
    """One worker on the events of one source."""

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        lease: timedelta,
        report: Callable[[Processed], object] | None,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._lease = lease
        self._report = report
        # Those that are still to be handled or done with, by key; renewed in the background.
        self._held: dict[str, WebhookEvent] = {}
        self._lost: set[str] = set()
        self._lock = threading.Lock()
        self.processed = Processed()

    def run(
        self,
        source: str,
        limit: int,
        poll: timedelta,
        stop: threading.Event,
        *,
        until_empty: bool,
    ) -> None:
        """Work until told to stop, or until nothing is due."""
        with self._renewing():
            while not stop.is_set():
                events = self._queue.claim(source, limit, self._lease)
                if not events and until_empty:
                    return
                self._handle_all(events)
                if not events:
                    stop.wait(poll.total_seconds())

    def _handle_all(self, events: list[WebhookEvent]) -> None:
        with self._lock:
            self._held = {event.event_key: event.copy() for event in events}
            self._lost.clear()
        try:
            for event in events:
                if event.event_key in self._lost:
                    self._let_go(event)
                    self.processed.lost += 1
                else:
                    self._handle(event)
                if self._report is not None:
                    self._report(self.processed)
        finally:
            # Empty, unless this worker was interrupted: others need not wait for its leases.
            for event in self._let_go_of_all():
                with suppress(QuillError):
                    self._queue.release(event)
                    self.processed.released += 1

    def _handle(self, event: WebhookEvent) -> None:
        try:
            try:
                self._handler(event)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is kept with the event
                self._let_go(event)
                self._queue.fail(event, error)
            else:
                self._let_go(event)
                # The handler may have done so itself, in a transaction with its results.
                if event.status is EventStatus.PROCESSING:
                    self._queue.complete(event)
        except LeaseLost:
            self._let_go(event)
            self.processed.lost += 1
            return
        if event.status is EventStatus.PROCESSED:
            self.processed.completed += 1
        elif event.status is EventStatus.DEAD:
            self.processed.dead += 1
        elif event.status is EventStatus.FAILED:
            self.processed.failed += 1
        else:
            self.processed.released += 1

    def _let_go(self, event: WebhookEvent) -> None:
        with self._lock:
            self._held.pop(event.event_key, None)

    def _let_go_of_all(self) -> list[WebhookEvent]:
        with self._lock:
            events = list(self._held.values())
            self._held = {}
        return events

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(
            target=self._keep_renewing, args=(ended,), name="quill-worker-leases", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _keep_renewing(self, ended: threading.Event) -> None:
        pause = self._lease.total_seconds() / _RENEWALS_PER_LEASE
        while not ended.wait(pause):
            with self._lock:
                # Copies: the handler has the events themselves, and may be completing one.
                held = list(self._held.items())
            for key, event in held:
                if ended.is_set() or key not in self._held:
                    continue
                try:
                    self._queue.renew(event, self._lease)
                except LeaseLost:
                    with self._lock:
                        # Not if it was done with meanwhile, or given back.
                        if self._held.get(key) is event:
                            self._lost.add(key)
                except Exception:  # noqa: BLE001, S112
                    # Too early to give up: the next renewal, or the event's completion, will tell.
                    continue


@contextmanager
def stopped_by_signal(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM set the event, where this is the thread that gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before: Any = signal.signal(signal.SIGTERM, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
