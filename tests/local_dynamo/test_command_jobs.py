"""`quill jobs` and `quill events`: what they show, and what they change."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quill_models import LeaseLost, Quill, WebhookEvent, connect
from quill_models.command.events import read_overview
from quill_models.command.overview import age
from tests.local_dynamo import tables, test_command
from tests.local_dynamo.support import MINUTE, SECOND, event, on_the_wire
from tests.local_dynamo.test_command import PROGRAM, UNREACHABLE, Run, document, failed, succeeded

quill = tables.emptied
on_the_table = test_command.on_the_table
run = test_command.run

# A lease that has ended when the next command looks.
ENDED = timedelta(microseconds=1)


def fail(quill: Quill, job: str, window: str, message: str = "boom") -> None:
    with pytest.raises(ValueError, match=re.escape(message)), quill.job_runs.start(job, window):
        raise ValueError(message)


def succeed(quill: Quill, job: str, window: str, **stats: int) -> None:
    with quill.job_runs.start(job, window) as running:
        running.stats.update(stats)


@pytest.fixture
def impatient(quill: Quill) -> Iterator[Quill]:
    """On the same table; an event is dead after its second failure."""
    with connect(replace(quill.settings, max_attempts=2)) as connected:
        yield connected


def record(quill: Quill, *keys: str, **fields: Any) -> None:
    received = datetime.now(UTC) - MINUTE
    for key in keys:
        quill.webhook_events.record(event(key, received_at=received, **fields))


def claim(quill: Quill, key: str, lease: timedelta = MINUTE) -> WebhookEvent:
    """Record one event and take it."""
    record(quill, key)
    (held,) = quill.webhook_events.claim("hubspot", 1, lease)
    assert held.event_key == key
    return held


def bury(impatient: Quill, key: str, error: str = "no such contact") -> None:
    held = claim(impatient, key)
    impatient.webhook_events.fail(held, error, retry_in=timedelta(0))
    (held,) = impatient.webhook_events.claim("hubspot", 1)
    assert impatient.webhook_events.fail(held, error).status == "dead"


class TestJobs:
    def test_an_empty_table(self, run: Run) -> None:
        assert "No job is running." in succeeded(run("jobs"))
        shown = document(run("jobs", "--json"))
        assert datetime.fromisoformat(shown.pop("at")).tzinfo is not None
        assert shown == {
            "running": [],
            "failed": [],
            "last_success": [],
            "more": {"running": False, "failed": False},
        }
        assert "no runs" in succeeded(run("jobs", "--job", "sync"))
        assert document(run("jobs", "--job", "sync", "--json"))["items"] == []

    def test_what_runs_what_is_stale_and_what_failed(self, quill: Quill, run: Run) -> None:
        succeed(quill, "sync", "w1", created=7)
        succeed(quill, "sync", "w2", created=8)
        fail(quill, "export", "w3", "[red]boom[/] \x1b[2J")
        quill.job_runs.start("sync", "w4")
        quill.job_runs.start("sync", "w5", lease=ENDED)

        shown = document(run("jobs", "--json"))
        # Those that need a look come first.
        assert [(each["window"], each["stale"]) for each in shown["running"]] == [
            ("w5", True),
            ("w4", False),
        ]
        assert [each["error"]["type"] for each in shown["failed"]] == ["ValueError"]
        assert [each["window"] for each in shown["last_success"]] == ["w2"]
        assert shown["last_success"][0]["stats"] == {"created": 8}
        assert shown["more"] == {"running": False, "failed": False}

        for_people = succeeded(run("jobs"))
        lines = for_people.splitlines()
        (stale,) = [line for line in lines if "w5" in line]
        assert "STALE" in stale
        (running,) = [line for line in lines if "w4" in line]
        assert "STALE" not in running
        assert f":{os.getpid()}" in running
        assert "in 4 min" in running
        # What a job left as its error is text: neither markup nor orders to the terminal.
        assert "ValueError: [red]boom[/] \\x1b[2J" in for_people
        assert "\x1b" not in for_people
        assert "created: 8" in for_people

    def test_no_limit_hides_what_is_stale(self, quill: Quill, run: Run) -> None:
        for number in range(3):
            quill.job_runs.start("sync", f"alive{number}")
        quill.job_runs.start("sync", "stuck", lease=ENDED)
        shown = document(run("jobs", "--limit", "1", "--json"))
        assert [each["window"] for each in shown["running"]] == ["stuck", "alive0"]
        assert shown["more"]["running"] is True
        assert "higher --limit" in succeeded(run("jobs", "--limit", "1"))

    def test_the_runs_of_one_job(self, quill: Quill, run: Run) -> None:
        succeed(quill, "sync", "w1")
        fail(quill, "sync", "w2")
        quill.job_runs.start("sync", "w3")
        quill.job_runs.start("other", "w4")
        shown = document(run("jobs", "--job", "sync", "--json"))
        assert set(shown) == {"at", "items", "more"}
        assert [(each["window"], each["status"]) for each in shown["items"]] == [
            ("w3", "running"),
            ("w2", "failed"),
            ("w1", "succeeded"),
        ]
        page = document(run("jobs", "--job", "sync", "--limit", "2", "--json"))
        assert ([each["window"] for each in page["items"]], page["more"]) == (["w3", "w2"], True)
        for_people = succeeded(run("jobs", "--job", "sync"))
        assert "ValueError: boom" in for_people
        assert "w4" not in for_people
        failed_ones = document(run("jobs", "--status", "failed", "--json"))
        assert failed_ones == document(run("list", "job-runs", "--status", "failed", "--json"))
        assert [each["window"] for each in failed_ones["items"]] == ["w2"]

    def test_attempts(self, quill: Quill, run: Run) -> None:
        fail(quill, "sync", "w1", "first")
        quill.job_runs.start("sync", "w1", lease=ENDED)
        succeed(quill, "sync", "w1")
        shown = document(run("jobs", "attempts", "sync", "w1", "--json"))
        assert (shown["job_name"], shown["window"]) == ("sync", "w1")
        assert [
            (each["attempt"], each["status"], (each["error"] or {}).get("type"))
            for each in shown["attempts"]
        ] == [(1, "failed", "ValueError"), (2, "failed", "LeaseEnded"), (3, "succeeded", None)]
        for_people = succeeded(run("jobs", "attempts", "sync", "w1"))
        assert "ValueError: first" in for_people
        assert "no sign of life since" in for_people
        assert "no run of the job 'sync'" in failed(run("jobs", "attempts", "sync", "w9"))

    def test_cancel(self, quill: Quill, run: Run) -> None:
        held = quill.job_runs.start("sync", "w1")
        assert "Cancelled attempt 1 of the job 'sync'" in succeeded(
            run("jobs", "cancel", "sync", "w1")
        )
        with pytest.raises(LeaseLost):
            held.save_checkpoint({"page": 2})
        again = succeeded(run("jobs", "cancel", "sync", "w1"))
        assert "Nothing to cancel" in again
        assert "is cancelled since" in again

        succeed(quill, "sync", "w2")
        assert "is succeeded since" in succeeded(run("jobs", "cancel", "sync", "w2"))
        quill.job_runs.start("sync", "w3", lease=ENDED)
        for expected in (True, False):
            shown = document(run("jobs", "cancel", "sync", "w3", "--json"))
            assert shown["cancelled"] is expected
            assert shown["run"]["status"] == "cancelled"
        missing = run("jobs", "cancel", "sync", "w9", "--json")
        assert "no run of the job 'sync' for the window 'w9'" in failed(missing)
        (error,) = json.loads(missing.stdout)["errors"]
        assert (error["type"], error["job_name"], error["window"]) == ("NotFound", "sync", "w9")


class TestEvents:
    def test_an_empty_table(self, run: Run) -> None:
        shown = document(run("events", "--json"))
        assert datetime.fromisoformat(shown.pop("at")).tzinfo is not None
        assert shown == {
            "source": "hubspot",
            "counts": {"pending": 0, "processing": 0, "failed": 0, "dead": 0},
            "due": {"pending": 0, "processing": 0, "failed": 0},
            "expires_first": None,
            "failed": [],
            "more_failed": False,
            "dead": [],
            "more": False,
        }
        for_people = succeeded(run("events", "--source", "[other]"))
        assert "pending" in for_people
        assert "No events of '[other]', but for processed ones. --source names" in for_people
        for_people = succeeded(run("events", "--all"))
        assert "No events of 'hubspot'. --source names another one." in for_people

    def test_processed_ones_alone(self, quill: Quill, run: Run) -> None:
        quill.webhook_events.complete(claim(quill, "done"))
        assert "but for processed ones" in succeeded(run("events"))
        assert "No events" not in succeeded(run("events", "--all"))

    def test_how_many_are_in_which_status(self, impatient: Quill, run: Run) -> None:
        events = impatient.webhook_events
        bury(impatient, "dead", "KeyError: '[red]x[/]' \x1b[2J")
        events.complete(claim(impatient, "done"))
        events.fail(claim(impatient, "later"), "boom", retry_in=MINUTE)
        claim(impatient, "held")
        # From here on due, so that no claim may follow.
        claim(impatient, "given up", lease=ENDED)
        record(impatient, "new1", "new2")
        # Its clock is ahead: it is due when that time has come.
        impatient.webhook_events.record(
            event("ahead", received_at=datetime.now(UTC) + timedelta(hours=1))
        )

        shown = document(run("events", "--json"))
        assert shown["counts"] == {"pending": 3, "processing": 2, "failed": 1, "dead": 1}
        assert shown["due"] == {"pending": 2, "processing": 1, "failed": 0}
        (dead,) = shown["dead"]
        assert (dead["event_key"], dead["attempts"]) == ("dead", 2)
        (later,) = shown["failed"]
        assert (later["event_key"], later["attempts"]) == ("later", 1)
        assert document(run("events", "--all", "--json"))["counts"]["processed"] == 1

        for_people = succeeded(run("events"))
        assert "processed" not in for_people
        assert "No events" not in for_people
        assert "KeyError: '[red]x[/]' \\x1b[2J" in for_people
        assert "contact 77" in for_people
        assert "\x1b" not in for_people
        assert "processed" in succeeded(run("events", "--all"))

    def test_options_of_a_list(self, impatient: Quill, run: Run) -> None:
        bury(impatient, "dead")
        record(impatient, "new")
        for options in (["--status", "dead"], ["--object", "contact", "77"], ["--newest-first"]):
            listed = document(run("events", *options, "--json"))
            assert listed == document(run("list", "webhook-events", *options, "--json"))
            assert "dead" in {each["event_key"] for each in listed["items"]}

    def test_some_of_the_dead_ones(self, impatient: Quill, run: Run) -> None:
        for key in ("a", "b"):
            bury(impatient, key, "x" * 900)
        shown = document(run("events", "--limit", "1", "--json"))
        assert (len(shown["dead"]), shown["counts"]["dead"], shown["more"]) == (1, 2, True)
        assert shown["dead"][0]["last_error"] == "x" * 900
        for_people = succeeded(run("events", "--limit", "1"))
        assert "higher --limit" in for_people
        # Shortened in the table.
        assert for_people.count("x") < 300

    def test_failed_ones_by_their_next_try(self, quill: Quill, run: Run) -> None:
        # Those that occurred first are not those that come first.
        tries = {"second": 10 * MINUTE, "third": 100 * MINUTE, "first": timedelta(0)}
        held = [claim(quill, key) for key in tries]
        for each in held:
            why = f"boom {each.event_key}"
            quill.webhook_events.fail(each, why, retry_in=tries[each.event_key])
        shown = document(run("events", "--json"))
        assert [each["event_key"] for each in shown["failed"]] == ["first", "second", "third"]
        assert (shown["counts"]["failed"], shown["due"]["failed"]) == (3, 1)
        assert shown["more_failed"] is False
        lines = succeeded(run("events")).splitlines()
        first, second, third = (line for line in lines if "boom" in line)
        assert "│ due " in first
        assert "│ in 9 min " in second
        assert "│ in 1 h " in third

        shown = document(run("events", "--limit", "2", "--json"))
        assert [each["event_key"] for each in shown["failed"]] == ["first", "second"]
        assert (shown["more_failed"], shown["more"]) == (True, False)
        assert "more failed ones: give a higher" in succeeded(run("events", "--limit", "2"))

    def test_failed_ones_cost_no_request(self, quill: Quill) -> None:
        assert quill.webhook_events.claim("hubspot") == []
        with on_the_wire(quill) as none:
            read_overview(quill, "hubspot", 20, with_processed=False)
        quill.webhook_events.fail(claim(quill, "a"), "boom", retry_in=MINUTE)
        with on_the_wire(quill) as some:
            overview = read_overview(quill, "hubspot", 20, with_processed=False)
        assert [each["event_key"] for each in overview.document["failed"]] == ["a"]
        assert some == none

    def test_replay(self, impatient: Quill, run: Run) -> None:
        for key in ("a", "b", "c"):
            bury(impatient, key)
        impatient.webhook_events.fail(claim(impatient, "d"), "boom")
        assert (
            succeeded(run("events", "replay", "a", "d", "a")) == "Replayed 2 events of hubspot.\n"
        )
        stored = impatient.webhook_events.get("hubspot", "a")
        assert stored is not None
        assert (stored.status, stored.attempts) == ("pending", 0)

        finished = run("events", "replay", "[gone]", "a", "b")
        assert "no event '[gone]'" in failed(finished)
        assert "cannot be replayed" in finished.stderr
        assert finished.stdout == "Replayed 1 event of hubspot.\n"

        finished = run("events", "replay", "gone", "c", "--json")
        failed(finished)
        shown = json.loads(finished.stdout)
        assert (shown["source"], shown["replayed"]) == ("hubspot", 1)
        assert [(each["type"], each["event_key"]) for each in shown["errors"]] == [
            ("NotFound", "gone")
        ]
        assert len(impatient.webhook_events.claim("hubspot", 10)) == 4

    def test_replay_of_all_dead_ones(self, impatient: Quill, run: Run) -> None:
        for number in range(5):
            bury(impatient, f"e{number}")
        impatient.webhook_events.fail(claim(impatient, "failed"), "boom", retry_in=MINUTE)
        shown = document(run("events", "replay", "--all-dead", "--json"))
        assert shown == {"source": "hubspot", "replayed": 5}
        assert succeeded(run("events", "replay", "--all-dead")) == "Replayed 0 events of hubspot.\n"
        assert document(run("events", "--json"))["counts"] == {
            "pending": 5,
            "processing": 0,
            "failed": 1,
            "dead": 0,
        }


@pytest.mark.parametrize(
    "arguments",
    [
        "jobs nonsense",
        "jobs --limit 0",
        "jobs --watch",
        "jobs --watch 0",
        "jobs --watch soon",
        "jobs --watch 1 --json",
        "jobs --job sync --watch",
        "jobs --json attempts sync w1",
        "jobs attempts sync",
        "jobs cancel sync",
        "jobs cancel sync w1 w2",
        "events nonsense",
        "events --limit many",
        "events --watch",
        "events --watch --json",
        "events --source other replay a",
        "events replay",
        "events replay a --all-dead",
    ],
)
def test_wrong_usage(run: Run, arguments: str) -> None:
    finished = run(*arguments.split())
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert "Error: " in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "jobs --json",
        "jobs --job sync",
        "jobs attempts sync w1",
        "jobs cancel sync w1",
        "events",
        "events replay a",
        "events replay --all-dead --json",
    ],
)
def test_no_table(run: Run, arguments: str) -> None:
    finished = run(*arguments.split(), QUILL_TABLE="quill-not-there")
    assert "quill schema apply" in failed(finished)
    if "--json" not in arguments:
        assert finished.stdout == ""
        return
    (error,) = json.loads(finished.stdout)["errors"]
    assert error["type"] == "TableNotFound"


@contextmanager
def on_a_terminal(
    folder: Path, environ: Mapping[str, str], *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[str], str]]]:
    """The program on a terminal of its own, and what waits for a text on it."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=folder,
        env={**os.environ, **environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "50"},
    )
    os.close(its)
    said = ""

    def until(text: str) -> str:
        """All that came so far, when the text has come; with no text, at the end."""
        nonlocal said
        deadline = time.monotonic() + 120
        while not text or text not in said:
            assert time.monotonic() < deadline, said
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                came = os.read(ours, 65536)
            except OSError:
                came = b""
            if not came:
                assert not text, said
                break
            said += came.decode(errors="replace")
        return said

    try:
        yield process, until
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(ours)


class TestWatch:
    def test_it_goes_on_until_an_interrupt(
        self, quill: Quill, on_the_table: Mapping[str, str], tmp_path: Path
    ) -> None:
        with (
            on_a_terminal(tmp_path, on_the_table, "jobs", "--watch", "1") as (jobs, of_jobs),
            on_a_terminal(tmp_path, on_the_table, "events", "--watch", "1") as (events, of_events),
        ):
            of_jobs("No job is running.")
            quill.job_runs.start("sync", "w1")
            record(quill, "e1")
            of_jobs("none stale")
            quill.job_runs.start("sync", "w2", lease=ENDED)
            of_jobs("STALE")
            of_events("\x1b[1A")
            for process in (jobs, events):
                process.send_signal(signal.SIGINT)
            for process, until in ((jobs, of_jobs), (events, of_events)):
                said = until("")
                assert process.wait(60) == 0
                assert "every 1 s, Ctrl-C ends it" in said
                # In place: the cursor goes up before what is shown anew.
                assert "\x1b[1A" in said
                for noise in ("Traceback", "Abort", "Error"):
                    assert noise not in said

    def test_no_server(self, on_the_table: Mapping[str, str], tmp_path: Path) -> None:
        environ = {**on_the_table, "DYNAMODB_ENDPOINT": UNREACHABLE}
        with on_a_terminal(tmp_path, environ, "jobs", "--watch") as (jobs, of_jobs):
            said = of_jobs("")
            assert jobs.wait(60) == 1
        assert "quill local start" in said
        assert "Traceback" not in said

    def test_a_terminal_that_cannot_refresh(self, run: Run) -> None:
        finished = run("jobs", "--watch", TERM="dumb", FORCE_COLOR="1")
        assert finished.returncode == 2
        assert "needs a terminal" in finished.stderr


def test_an_age_is_in_words() -> None:
    now = datetime(2031, 5, 17, 12, tzinfo=UTC)
    for ago, words in (
        (0 * SECOND, "0 s ago"),
        (59 * SECOND, "59 s ago"),
        (60 * SECOND, "1 min ago"),
        (47 * 60 * MINUTE, "47 h ago"),
        (48 * 60 * MINUTE, "2 days ago"),
        (-90 * SECOND, "in 1 min"),
    ):
        assert age(now - ago, now) == words
    assert age(None, now) == ""
