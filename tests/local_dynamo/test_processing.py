"""The loop of a worker, with handlers that fail and workers that are stopped and killed."""

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
from tests.local_dynamo.test_event_queue import spoil

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
    def test_what_returns_is_completed_and_what_raises_has_failed(self, quill: Quill) -> None:
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

    def test_again_until_it_is_dead(self, quill: Quill, quill_clock: FrozenClock) -> None:
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
    def test_a_handler_may_complete_it_with_its_results(self, quill: Quill) -> None:
        record(quill, 5)

        def handler(event: WebhookEvent) -> None:
            with quill.transaction() as tx:
                tx.metrics.add(Increment("global", "events", "day", NOON, 1, event.event_key))
                tx.webhook_events.complete(event)

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert (processed.completed, processed.lost) == (5, 0)
        (metric,) = quill.metrics.series("global", "events", "day")
        assert metric.value == 5

    def test_a_handler_that_lost_its_event(self, quill: Quill, quill_clock: FrozenClock) -> None:
        record(quill, 1)

        def handler(event: WebhookEvent) -> None:
            quill_clock.tick(HOUR)
            (other,) = quill.webhook_events.claim("hubspot")
            quill.webhook_events.complete(other)

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert (processed.completed, processed.lost) == (0, 1)
        assert of_status(quill, "processed") == 1

    @pytest.mark.usefixtures("quill_clock")
    def test_one_that_cannot_be_read_is_left_to_the_end(self, quill: Quill) -> None:
        record(quill, 3)
        spoil(quill, "0")
        with pytest.raises(InvalidValue, match="cannot be read"):
            quill.webhook_events.process("hubspot", lambda _: None, limit=1, until_empty=True)
        assert of_status(quill, "processed") == 2

    @pytest.mark.usefixtures("quill_clock")
    def test_a_worker_that_waits_is_not_ended_by_it(self, quill: Quill) -> None:
        record(quill, 1)
        spoil(quill, "0")
        stop = threading.Event()
        looks = 0
        claim = quill.webhook_events.claim

        def looked(*arguments: Any) -> list[WebhookEvent]:
            nonlocal looks
            looks += 1
            if looks == 2:
                quill.webhook_events.record(event("1", received_at=LONG_AGO))
            return claim(*arguments)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(quill.webhook_events, "claim", looked)
            processed = quill.webhook_events.process(
                "hubspot", lambda _: stop.set(), poll=timedelta(milliseconds=1), stop=stop
            )
        assert (looks, processed.completed) == (2, 1)

    @pytest.mark.usefixtures("quill_clock")
    def test_an_error_that_cannot_say_what_it_is(self, quill: Quill) -> None:
        class MuteError(Exception):
            def __str__(self) -> str:
                raise ValueError

        record(quill, 1)

        def handler(_: WebhookEvent) -> None:
            raise MuteError

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert processed.failed == 1
        (failed,) = quill.webhook_events.list_by_status("hubspot", "failed")
        assert failed.last_error == "MuteError: no message, as asking for it raised ValueError"

    def test_what_a_handler_does_to_the_payload_is_not_stored(
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
    def test_a_handler_that_raises_when_it_is_done(
        self, quill: Quill, caplog: pytest.LogCaptureFixture
    ) -> None:
        record(quill, 1)

        def handler(event: WebhookEvent) -> None:
            quill.webhook_events.complete(event)
            raise ValueError("afterwards")

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert (processed.completed, processed.lost) == (1, 0)
        # Which error it was, and where, but not what it says, as that may be of the payload.
        (record_of_it,) = [each for each in caplog.records if each.name == "quill_models.events"]
        assert "ValueError" in record_of_it.getMessage()
        assert Path(__file__).name in record_of_it.getMessage()
        assert "afterwards" not in caplog.text

    @pytest.mark.usefixtures("quill_clock")
    def test_a_lease_of_something_else_that_is_lost(self, quill: Quill) -> None:
        record(quill, 1)

        def handler(_: WebhookEvent) -> None:
            raise LeaseLost("a run's")

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        assert (processed.failed, processed.lost) == (1, 0)

    def test_who_stood_still_asks_before_it_goes_on(
        self, quill: Quill, quill_clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record(quill, 2)
        seen: list[str] = []
        events = quill.webhook_events

        def no_answer(*_: object) -> None:
            raise AnswerLost("not now")

        def handler(event: WebhookEvent) -> None:
            seen.append(event.event_key)
            with monkeypatch.context() as patched:
                patched.setattr(events, "renew", no_answer)
                time.sleep(0.5)
                quill_clock.tick(HOUR)
                assert len(events.claim("hubspot")) == 2

        lease = timedelta(seconds=0.3)
        processed = events.process("hubspot", handler, lease=lease, until_empty=True)
        assert (seen, processed.completed, processed.lost) == (["0"], 0, 2)


class TestStop:
    @pytest.mark.usefixtures("quill_clock")
    def test_an_interrupt_gives_back_what_is_held(self, quill: Quill) -> None:
        record(quill, 6)

        def handler(event: WebhookEvent) -> None:
            if event.event_key == "2":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            quill.webhook_events.process("hubspot", handler, limit=5)
        assert of_status(quill, "processed") == 2
        assert of_status(quill, "pending") == 4
        # As if they had never been claimed.
        attempts = [each.attempts for each in quill.webhook_events.claim("hubspot")]
        assert attempts == [1] * 4

    @pytest.mark.usefixtures("quill_clock")
    def test_sigterm_lets_it_finish_what_it_holds(self, quill: Quill) -> None:
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
    def test_what_cannot_be_given_back_is_not_waited_for(
        self, quill: Quill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record(quill, 6)
        tried: list[str] = []

        def no_answer(event: WebhookEvent) -> None:
            tried.append(event.event_key)
            raise AnswerLost("after its deadline")

        def handler(event: WebhookEvent) -> None:
            monkeypatch.setattr(quill.webhook_events, "release", no_answer)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            quill.webhook_events.process("hubspot", handler)
        assert tried == ["0"]

    def test_sigterm_while_it_is_about_to_wait(self, quill: Quill) -> None:
        arguments = [str(quill.settings.endpoint), quill.settings.table]
        # It would wait for ever.
        subprocess.run([sys.executable, "-c", WAITS, *arguments], timeout=60, check=True)

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.usefixtures("quill_clock")
    def test_sigterm_ends_what_a_handler_has_forked(self, quill: Quill) -> None:
        record(quill, 1)
        children: list[Any] = []

        def handler(_: WebhookEvent) -> None:
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            child.start()
            children.append(child)
            # Python forgets what comes while it forks.
            time.sleep(0.5)
            child.terminate()
            child.join(20)

        processed = quill.webhook_events.process("hubspot", handler, until_empty=True)
        (child,) = children
        assert (child.exitcode, processed.completed) == (-signal.SIGTERM, 1)

    @pytest.mark.usefixtures("quill_clock")
    def test_an_idle_one_stops_at_once(self, quill: Quill) -> None:
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


def test_a_lease_is_renewed_while_a_handler_takes_its_time(quill: Quill) -> None:
    record(quill, 2)

    def handler(_: WebhookEvent) -> None:
        time.sleep(2.2)
        assert quill.webhook_events.claim("hubspot") == []

    processed = quill.webhook_events.process(
        "hubspot", handler, lease=timedelta(seconds=2), until_empty=True
    )
    assert (processed.completed, processed.lost) == (2, 0)


WAITS = """
import os, signal, sys, threading
from quill_models import Settings, connect

class Told(threading.Event):
    def wait(self, timeout=None):
        # As wait() itself does, for a moment.
        with self._cond:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().wait(timeout)

endpoint, table = sys.argv[1:]
with connect(Settings(endpoint=endpoint, table=table)) as quill:
    quill.webhook_events.process("hubspot", print, stop=Told())
"""

WORKER = """
import sys
from datetime import UTC, datetime, timedelta
from quill_models import Increment, Settings, connect

endpoint, table = sys.argv[1:]
at = datetime(2031, 5, 17, 12, tzinfo=UTC)
with connect(Settings(endpoint=endpoint, table=table, max_attempts=100)) as quill:

    def handler(event):
        with quill.transaction() as tx:
            tx.metrics.add(Increment("global", "events", "day", at, 1, event.event_key))
            tx.webhook_events.complete(event)

    quill.webhook_events.process(
        "hubspot", handler, limit=5, lease=timedelta(seconds=2), poll=timedelta(milliseconds=200)
    )
"""


@pytest.mark.soak
def test_workers_are_killed_and_each_event_is_done_once(quill: Quill, *, soak: bool) -> None:
    total = 1000 if soak else 60
    record(quill, total)
    arguments = [sys.executable, "-c", WORKER, str(quill.settings.endpoint), quill.settings.table]
    workers = [subprocess.Popen(arguments) for _ in range(4)]
    killed = 0
    deadline = time.monotonic() + (900 if soak else 120)
    try:
        while of_status(quill, "processed") < total:
            assert time.monotonic() < deadline
            time.sleep(1)
            if killed < (10_000 if soak else 2):
                victim = random.randrange(4)  # noqa: S311
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
