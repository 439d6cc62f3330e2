"""The worker loop: handler outcomes, lost leases, interrupts and killed workers."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quill_models import EventStatus, Increment, LeaseLost, Quill, WebhookEvent, connect
from quill_models.errors import AnswerLost, InvalidValue
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.support import DAY, HOUR, NOON, SECOND, event
from tests.local_dynamo.test_event_queue import make_unreadable

quill = tables.emptied

LONG_AGO = NOON - 3650 * DAY


def record(quill: Quill, total: int) -> None:
    quill.webhook_events.record_many(
        event(str(number), received_at=LONG_AGO + number * SECOND) for number in range(total)
    )


def of_status(quill: Quill, status: str) -> int:
    return quill.webhook_events.list_by_status("hubspot", status).count()


class TestOutcomes:
    @pytest.mark.usefixtures("quill_clock")
    def test_process_completes_or_fails_by_handler_outcome(self, quill: Quill) -> None:
        record(quill, 10)
        seen: list[str] = []

        def handler(event: WebhookEvent) -> None:
            assert event.status is EventStatus.PROCESSING
            seen.append(event.event_key)
            if event.event_key == "7":
                raise ValueError("odd")

        counts: list[int] = []
        processed = quill.webhook_events.process(
            "hubspot",
            handler,
            limit=3,
            until_empty=True,
            report=lambda processed: counts.append(processed.completed + processed.failed),
        )
        assert seen == [str(number) for number in range(10)]
        assert (processed.completed, processed.failed, processed.dead) == (9, 1, 0)
        assert counts == list(range(1, 11))
        failed = quill.webhook_events.list_by_status("hubspot", "failed").first()
        assert failed is not None
        assert (failed.event_key, failed.last_error) == ("7", "ValueError: odd")

    def test_process_failing_event_retries_until_dead(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with connect(replace(quill.settings, max_attempts=3), clock=quill_clock) as clocked:
            record(clocked, 1)

            def handler(_: WebhookEvent) -> None:
                raise ValueError("odd")

            for dead in (0, 0, 1):
                processed = clocked.webhook_events.process("hubspot", handler, until_empty=True)
                assert (processed.failed, processed.dead) == (1 - dead, dead)
                quill_clock.tick(HOUR)
            assert of_status(clocked, "dead") == 1

    @pytest.mark.usefixtures("quill_clock")
    def test_process_handler_completing_in_transaction_counts_once(self, quill: Quill) -> None:
        record(quill, 5)

        def handler(event: WebhookEvent) -> None:
            with quill.transaction() as tx:
                tx.metrics.add(Increment("global", "events", "day", NOON, 1, event.event_key))
                tx.webhook_events.complete(event)

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert (processed.completed, processed.lost) == (5, 0)
        (metric,) = quill.metrics.series("global", "events", "day")
        assert metric.value == 5

    def test_process_lease_lost_in_handler_counts_lost(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        record(quill, 1)

        def handler(event: WebhookEvent) -> None:
            quill_clock.tick(HOUR)
            (other,) = quill.webhook_events.claim("hubspot")
            quill.webhook_events.complete(other)

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert (processed.completed, processed.lost) == (0, 1)
        assert of_status(quill, "processed") == 1

    @pytest.mark.usefixtures("quill_clock")
    def test_process_unreadable_event_raises_after_the_others(self, quill: Quill) -> None:
        record(quill, 3)
        make_unreadable(quill, "0")
        with pytest.raises(InvalidValue, match="unreadable"):
            quill.webhook_events.process("hubspot", lambda _: None, limit=1, until_empty=True)
        assert of_status(quill, "processed") == 2

    @pytest.mark.usefixtures("quill_clock")
    def test_process_polling_continues_past_unreadable_event(self, quill: Quill) -> None:
        record(quill, 1)
        make_unreadable(quill, "0")
        stop = threading.Event()
        claims = 0
        claim = quill.webhook_events.claim

        def counted(*arguments: Any) -> list[WebhookEvent]:
            nonlocal claims
            claims += 1
            if claims == 2:
                quill.webhook_events.record(event("1", received_at=LONG_AGO))
            return claim(*arguments)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(quill.webhook_events, "claim", counted)
            processed = quill.webhook_events.process(
                "hubspot", lambda _: stop.set(), poll=timedelta(milliseconds=1), stop=stop
            )
        assert (claims, processed.completed) == (2, 1)

    @pytest.mark.usefixtures("quill_clock")
    def test_process_error_without_message_is_recorded(self, quill: Quill) -> None:
        class SilentError(Exception):
            def __str__(self) -> str:
                raise ValueError

        record(quill, 1)

        def handler(_: WebhookEvent) -> None:
            raise SilentError

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert processed.failed == 1
        (failed,) = quill.webhook_events.list_by_status("hubspot", "failed")
        assert failed.last_error == "SilentError: no message: str() raised ValueError"

    def test_process_payload_changed_by_handler_is_not_stored(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        record(quill, 1)
        seen: list[object] = []

        def handler(event: WebhookEvent) -> None:
            seen.append(dict(event.payload))
            event.payload.clear()
            event.payload["handle"] = object()
            if len(seen) == 1:
                raise ValueError("odd")

        for _ in range(2):
            quill.webhook_events.process("hubspot", handler, until_empty=True)
            quill_clock.tick(HOUR)
        (done,) = quill.webhook_events.list_by_status("hubspot", "processed")
        assert seen == [event().payload] * 2
        assert done.payload == event().payload

    @pytest.mark.usefixtures("quill_clock")
    def test_process_error_after_complete_is_logged_without_message(
        self, quill: Quill, caplog: pytest.LogCaptureFixture
    ) -> None:
        record(quill, 1)

        def handler(event: WebhookEvent) -> None:
            quill.webhook_events.complete(event)
            raise ValueError("afterwards")

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert (processed.completed, processed.lost) == (1, 0)
        # The message may contain payload data, so it is not logged.
        (log_record,) = [each for each in caplog.records if each.name == "quill_models.events"]
        assert "ValueError" in log_record.getMessage()
        assert Path(__file__).name in log_record.getMessage()
        assert "afterwards" not in caplog.text

    @pytest.mark.usefixtures("quill_clock")
    def test_process_lease_lost_of_a_run_fails_event(self, quill: Quill) -> None:
        record(quill, 1)

        def handler(_: WebhookEvent) -> None:
            raise LeaseLost("a run's")

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert (processed.failed, processed.lost) == (1, 0)

    def test_process_paused_worker_checks_lease_before_next_event(
        self, quill: Quill, quill_clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record(quill, 2)
        seen: list[str] = []
        events = quill.webhook_events

        def lose_response(*_: object) -> None:
            raise AnswerLost("not now")

        def handler(event: WebhookEvent) -> None:
            seen.append(event.event_key)
            with monkeypatch.context() as patched:
                patched.setattr(events, "renew", lose_response)
                time.sleep(0.5)
                quill_clock.tick(HOUR)
                assert len(events.claim("hubspot")) == 2

        lease = timedelta(seconds=0.3)
        processed = events.process("hubspot", handler, lease=lease, until_empty=True)
        assert (seen, processed.completed, processed.lost) == (["0"], 0, 2)


class TestStop:
    @pytest.mark.usefixtures("quill_clock")
    def test_process_interrupt_releases_leased_events(self, quill: Quill) -> None:
        record(quill, 6)

        def handler(event: WebhookEvent) -> None:
            if event.event_key == "2":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            quill.webhook_events.process("hubspot", handler, limit=5)
        assert of_status(quill, "processed") == 2
        assert of_status(quill, "pending") == 4
        attempts = [each.attempts for each in quill.webhook_events.claim("hubspot")]
        assert attempts == [1] * 4

    @pytest.mark.usefixtures("quill_clock")
    def test_process_sigterm_finishes_leased_events(self, quill: Quill) -> None:
        record(quill, 6)
        handled: list[str] = []

        def handler(event: WebhookEvent) -> None:
            # Workers that claim at the same time begin at different events.
            handled.append(event.event_key)
            if len(handled) == 2:
                os.kill(os.getpid(), signal.SIGTERM)

        before = signal.getsignal(signal.SIGTERM)
        processed = quill.webhook_events.process("hubspot", handler, limit=4)
        assert processed.completed == 4
        assert of_status(quill, "pending") == 2
        assert signal.getsignal(signal.SIGTERM) == before

    @pytest.mark.usefixtures("quill_clock")
    def test_process_interrupt_stops_after_first_failed_release(
        self, quill: Quill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record(quill, 6)
        tried: list[str] = []

        def lose_response(event: WebhookEvent) -> None:
            tried.append(event.event_key)
            raise AnswerLost("after its deadline")

        def handler(event: WebhookEvent) -> None:
            monkeypatch.setattr(quill.webhook_events, "release", lose_response)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            quill.webhook_events.process("hubspot", handler)
        assert tried == ["0"]

    def test_process_sigterm_before_poll_stops(self, quill: Quill) -> None:
        arguments = [str(quill.settings.endpoint), quill.settings.table]
        # A lost signal would let it wait until the timeout.
        subprocess.run([sys.executable, "-c", WAITS, *arguments], timeout=60, check=True)

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.usefixtures("quill_clock")
    def test_process_sigterm_ends_child_forked_by_handler(self, quill: Quill) -> None:
        record(quill, 1)
        children: list[Any] = []

        def handler(_: WebhookEvent) -> None:
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            child.start()
            children.append(child)
            # Python drops signals that arrive during a fork.
            time.sleep(0.5)
            child.terminate()
            child.join(20)

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        (child,) = children
        assert (child.exitcode, processed.completed) == (-signal.SIGTERM, 1)

    @pytest.mark.usefixtures("quill_clock")
    def test_process_idle_worker_stops_at_once(self, quill: Quill) -> None:
        stop = threading.Event()
        worker = threading.Thread(
            target=quill.webhook_events.process,
            args=("hubspot", lambda _: None),
            kwargs={"poll": HOUR, "stop": stop},
        )
        worker.start()
        stop.set()
        worker.join(timeout=20)
        assert not worker.is_alive()


def test_process_slow_handler_renews_leases(quill: Quill) -> None:
    record(quill, 2)

    def handler(event: WebhookEvent) -> None:
        # The lease of the second event is renewed during the first handler, too.
        if event.event_key == "0":
            time.sleep(1.7)
        assert quill.webhook_events.claim("hubspot") == []

    processed = quill.webhook_events.process(
        "hubspot", handler, lease=timedelta(seconds=1.5), until_empty=True
    )
    assert (processed.completed, processed.lost) == (2, 0)


WAITS = """
import os, signal, sys, threading
from quill_models import Settings, connect

class SignalingEvent(threading.Event):
    def wait(self, timeout=None):
        # wait() holds this lock for a moment, too.
        with self._cond:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().wait(timeout)

endpoint, table = sys.argv[1:]
with connect(Settings(endpoint=endpoint, table=table)) as quill:
    quill.webhook_events.process("hubspot", print, stop=SignalingEvent())
"""

WORKER = """
import sys
import time
from datetime import UTC, datetime, timedelta
from quill_models import Increment, Settings, connect

endpoint, table = sys.argv[1:]
at = datetime(2031, 5, 17, 12, tzinfo=UTC)
with connect(Settings(endpoint=endpoint, table=table, max_attempts=100)) as quill:

    def handler(event):
        # Slow enough that the worker is killed while it leases events.
        time.sleep(0.05)
        with quill.transaction() as tx:
            tx.metrics.add(Increment("global", "events", "day", at, 1, event.event_key))
            tx.webhook_events.complete(event)

    quill.webhook_events.process(
        "hubspot", handler, limit=5, lease=timedelta(seconds=1), poll=timedelta(milliseconds=200)
    )
"""


@pytest.mark.soak
def test_process_killed_workers_count_each_event_once(quill: Quill, *, soak: bool) -> None:
    total, number = (1000, 4) if soak else (40, 2)
    record(quill, total)
    arguments = [sys.executable, "-c", WORKER, str(quill.settings.endpoint), quill.settings.table]
    workers = [subprocess.Popen(arguments) for _ in range(number)]
    killed = 0
    deadline = time.monotonic() + (900 if soak else 120)
    try:
        while (processed := of_status(quill, "processed")) < total:
            assert time.monotonic() < deadline
            time.sleep(1 if soak else 0.05)
            if soak or (processed and not killed):
                victim = random.randrange(number)  # noqa: S311
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = subprocess.Popen(arguments)
                killed += 1
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert killed
    (metric,) = quill.metrics.series("global", "events", "day")
    assert metric.value == total
    for status in ("pending", "processing", "failed", "dead"):
        assert of_status(quill, status) == 0
