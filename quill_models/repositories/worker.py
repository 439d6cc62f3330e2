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
from queue import SimpleQueue
from types import FrameType
from typing import Any, Protocol

from quill_models.models import EventStatus, WebhookEvent
from quill_models.repositories.event_queue import NoneReadable
from quill_models.repositories.work_log import (
    event_done_before_error,
    event_lost,
    event_not_renewed,
)
from quill_models.values.errors import LeaseLost, QuillError

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
        # Until when nobody else can have them, by this machine's monotonic clock.
        self._sure_until: dict[str, float] = {}
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
                sure_until = self._lease_from_now()
                try:
                    events = self._queue.claim(source, limit, self._lease)
                except NoneReadable:
                    # The log has told of them. A worker that waits is there for those that come.
                    if until_empty:
                        raise
                    events = []
                if not events and until_empty:
                    return
                self._handle_all(events, sure_until)
                if not events:
                    stop.wait(poll.total_seconds())

    def _lease_from_now(self) -> float:
        return time.monotonic() + self._lease.total_seconds()

    def _handle_all(self, events: list[WebhookEvent], sure_until: float) -> None:
        with self._lock:
            self._held = {event.event_key: event.copy() for event in events}
            self._sure_until = {event.event_key: sure_until for event in events}
            self._lost.clear()
        try:
            for event in events:
                if self._is_held(event):
                    self._handle(event)
                else:
                    self._let_go(event)
                    self._lose(event)
                if self._report is not None:
                    self._report(self.processed)
        finally:
            self._give_back()

    def _give_back(self) -> None:
        """What is still held: nothing, unless this worker was interrupted."""
        with self._lock:
            events, self._held = list(self._held.values()), {}
        for event in events:
            try:
                self._queue.release(event)
            except LeaseLost:
                continue
            except QuillError:
                # Each of the others would be tried for as long. Their leases end by themselves.
                return
            self.processed.released += 1

    def _is_held(self, event: WebhookEvent) -> bool:
        """Whether nobody else has it. Asks the table where this process stood still too long."""
        if event.event_key in self._lost:
            return False
        if time.monotonic() < self._sure_until[event.event_key]:
            return True
        try:
            self._queue.renew(event, self._lease)
        except LeaseLost:
            return False
        return True

    def _handle(self, event: WebhookEvent) -> None:
        try:
            try:
                self._handler(event)
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is kept with the event
                self._let_go(event)
                if event.status is EventStatus.PROCESSING:
                    self._queue.fail(event, error)
                else:
                    event_done_before_error(event, error)
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
        event_lost(event)

    def _let_go(self, event: WebhookEvent) -> None:
        with self._lock:
            self._held.pop(event.event_key, None)

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
                sure_until = self._lease_from_now()
                try:
                    self._queue.renew(event, self._lease)
                    self._sure_until[key] = sure_until
                except LeaseLost:
                    with self._lock:
                        # Not if it was done with meanwhile, or given back.
                        if self._held.get(key) is event:
                            self._lost.add(key)
                except Exception as error:  # noqa: BLE001
                    # Too early to give up: the next renewal, or the event's completion, will tell.
                    event_not_renewed(event, error)


@contextmanager
def stopped_by_signal(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM set the event, where this is the thread that gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Python calls a signal's function between any two steps of this thread, which may hold the
    # event's own lock just then: setting it there would wait for ever. A SimpleQueue has no such
    # moment, and the thread that waits for it may set the event.
    told: SimpleQueue[str] = SimpleQueue()
    owner = os.getpid()

    def hear(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner:
            told.put("stop")
        else:
            # A process that the handler forked has no such thread; the signal is meant for it.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def pass_on() -> None:
        if told.get():
            stop.set()

    thread = threading.Thread(target=pass_on, name="quill-worker-stop", daemon=True)
    thread.start()
    before: Any = signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        # None stands for one that is not Python's, and cannot be put back.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
        told.put("")
        thread.join()
