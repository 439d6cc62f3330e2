"""The loop of a worker: claim, handle, complete or fail."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from queue import SimpleQueue
from types import FrameType
from typing import Any, Protocol

from quill_models.models import EventStatus, WebhookEvent
from quill_models.repositories.event_queue import NoneReadable
from quill_models.repositories.lease import LeaseKeeper
from quill_models.repositories.work_log import Line, log_handler_error, log_work
from quill_models.values.errors import LeaseLost, QuillError

__all__ = ["Handler", "Processed", "Worker", "stopped_by_signal"]

Handler = Callable[[WebhookEvent], object]


@dataclass
class Processed:
    """The counts of the events that a worker has handled.

    Attributes:
        completed: Processed events.
        failed: Events that are due again after a backoff.
        dead: Events that failed at their last attempt.
        lost: Events whose lease was lost to another worker.
        released: Events that were returned without an attempt after an interrupt.
    """

    completed: int = 0
    failed: int = 0
    dead: int = 0
    lost: int = 0
    released: int = 0


class EventQueue(Protocol):
    """The part of the repository that a worker uses."""

    def claim(self, source: str, limit: int, lease: timedelta) -> list[WebhookEvent]: ...
    def renew(self, event: WebhookEvent, lease: timedelta) -> WebhookEvent: ...
    def complete(self, event: WebhookEvent) -> WebhookEvent: ...
    def fail(self, event: WebhookEvent, error: BaseException) -> WebhookEvent: ...
    def release(self, event: WebhookEvent) -> WebhookEvent: ...


class Worker:
    """One worker on the events of one source."""

    def __init__(
        self,
        queue: EventQueue,
        handler: Handler,
        lease: timedelta,
        report: Callable[[Processed], object] | None,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._lease = lease
        self._report = report
        # Copies of the leased events, by key. The handler has the events themselves.
        self._leased: dict[str, WebhookEvent] = {}
        self._keeper = LeaseKeeper("quill-worker-leases", lease, self._not_renewed)
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
        """Handle events until ``stop`` is set, or until no event is due."""
        self._keeper.start()
        try:
            while not stop.is_set():
                since = time.monotonic()
                try:
                    events = self._queue.claim(source, limit, self._lease)
                except NoneReadable:
                    # The log names them. A worker that polls waits for new events.
                    if until_empty:
                        raise
                    events = []
                if not events and until_empty:
                    return
                self._handle_all(events, since)
                if not events:
                    stop.wait(poll.total_seconds())
        finally:
            self._keeper.stop()

    def _handle_all(self, events: list[WebhookEvent], since: float) -> None:
        self._leased = {event.event_key: event.copy() for event in events}
        for key, event in self._leased.items():
            self._keeper.hold(key, partial(self._renew, event), since)
        try:
            for event in events:
                if self._is_leased(event):
                    self._handle(event)
                else:
                    self._let_go(event)
                    self._lose(event)
                if self._report is not None:
                    self._report(self.processed)
        finally:
            self._release_leased()

    def _release_leased(self) -> None:
        """Release events that are still leased, which happens only after an interrupt."""
        for event in list(self._leased.values()):
            self._let_go(event)
            try:
                self._queue.release(event)
            except LeaseLost:
                continue
            except QuillError:
                # The others would take as long to fail. Their leases expire by themselves.
                return
            self.processed.released += 1

    def _is_leased(self, event: WebhookEvent) -> bool:
        """Return whether the lease is kept, with a request if this process was paused too long."""
        if self._keeper.is_sure(event.event_key):
            return True
        if self._keeper.is_lost(event.event_key):
            return False
        try:
            self._queue.renew(event, self._lease)
        except LeaseLost:
            return False
        return True

    def _handle(self, event: WebhookEvent) -> None:
        try:
            try:
                self._handler(event)
            except Exception as error:  # noqa: BLE001 -- stored with the event
                self._let_go(event)
                if event.status is EventStatus.PROCESSING:
                    self._queue.fail(event, error)
                else:
                    log_handler_error(event, error)
            else:
                self._let_go(event)
                # The handler may have done so itself, in a transaction with its results.
                if event.status is EventStatus.PROCESSING:
                    self._queue.complete(event)
        except LeaseLost:
            self._lose(event)
            return
        if event.status is EventStatus.PROCESSED:
            self.processed.completed += 1
        elif event.status is EventStatus.DEAD:
            self.processed.dead += 1
        elif event.status is EventStatus.FAILED:
            self.processed.failed += 1
        else:
            self.processed.released += 1

    def _lose(self, event: WebhookEvent) -> None:
        self.processed.lost += 1
        log_work(Line.EVENT_LOST, event)

    def _let_go(self, event: WebhookEvent) -> None:
        self._keeper.let_go(event.event_key)
        self._leased.pop(event.event_key, None)

    def _renew(self, event: WebhookEvent) -> None:
        self._queue.renew(event, self._lease)

    def _not_renewed(self, key: str, error: Exception) -> None:
        event = self._leased.get(key)
        if event is not None:
            log_work(Line.EVENT_NOT_RENEWED, event, error=error)


@contextmanager
def stopped_by_signal(stop: threading.Event) -> Iterator[None]:
    """Set the event at SIGTERM, if this is the main thread, which gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Python calls a signal handler between any two steps of this thread, which may hold the lock of
    # the event at that moment. Setting the event there would wait indefinitely. A SimpleQueue is
    # reentrant, and the thread that reads it can set the event.
    signals: SimpleQueue[str] = SimpleQueue()
    owner = os.getpid()

    def received(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner:
            signals.put("stop")
        else:
            # A process that the handler forked does not have the thread. The signal is its own.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def pass_on() -> None:
        if signals.get():
            stop.set()

    thread = threading.Thread(target=pass_on, name="quill-worker-stop", daemon=True)
    thread.start()
    before: Any = signal.signal(signal.SIGTERM, received)
    try:
        yield
    finally:
        # None means a handler that Python did not install and cannot restore.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
        signals.put("")
        thread.join()
