"""`quill jobs`: job runs, attempts, cancellation; `--watch` of `quill jobs` and `quill events`."""

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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quill_models import LeaseLost, Quill
from quill_models.command.overview import age
from tests.local_dynamo import tables, test_command
from tests.local_dynamo.support import MINUTE, SECOND, event
from tests.local_dynamo.test_command import PROGRAM, UNREACHABLE, Run, document, failed, succeeded

quill = tables.emptied
on_the_table = test_command.on_the_table
run = test_command.run

# A lease that has expired when the next command reads it.
EXPIRED = timedelta(microseconds=1)


def fail(quill: Quill, job: str, window: str, message: str = "boom") -> None:
    with pytest.raises(ValueError, match=re.escape(message)), quill.job_runs.start(job, window):
        raise ValueError(message)


def succeed(quill: Quill, job: str, window: str, **stats: int) -> None:
    with quill.job_runs.start(job, window) as running:
        running.stats.update(stats)


def record(quill: Quill, *keys: str, **fields: Any) -> None:
    received = datetime.now(UTC) - MINUTE
    for key in keys:
        quill.webhook_events.record(event(key, received_at=received, **fields))


class TestJobs:
    def test_jobs_empty_table_prints_message(self, run: Run) -> None:
        assert "No job is running." in succeeded(run("jobs"))
        shown = document(run("jobs", "--json"))
        assert datetime.fromisoformat(shown.pop("at")).tzinfo is not None
        assert shown == {
            "running": [],
            "failed": [],
            "last_success": [],
            "more": {"running": False, "failed": False},
        }
        assert "has no runs" in succeeded(run("jobs", "--job", "sync"))
        assert document(run("jobs", "--job", "sync", "--json"))["items"] == []

    def test_jobs_shows_running_stale_and_failed_runs(self, quill: Quill, run: Run) -> None:
        succeed(quill, "sync", "w1", created=7)
        succeed(quill, "sync", "w2", created=8)
        fail(quill, "export", "w3", "[red]boom[/] \x1b[2J")
        quill.job_runs.start("sync", "w4")
        quill.job_runs.start("sync", "w5", lease=EXPIRED)

        shown = document(run("jobs", "--json"))
        # Stale runs come first.
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
        # The error of a job is neither markup nor an escape sequence.
        assert "ValueError: [red]boom[/] \\x1b[2J" in for_people
        assert "\x1b" not in for_people
        assert "created: 8" in for_people

    def test_jobs_limit_does_not_hide_stale_runs(self, quill: Quill, run: Run) -> None:
        for number in range(3):
            quill.job_runs.start("sync", f"alive{number}")
        quill.job_runs.start("sync", "stuck", lease=EXPIRED)
        shown = document(run("jobs", "--limit", "1", "--json"))
        assert [each["window"] for each in shown["running"]] == ["stuck", "alive0"]
        assert shown["more"]["running"] is True
        assert "higher --limit" in succeeded(run("jobs", "--limit", "1"))

    def test_jobs_of_one_job_lists_its_runs(self, quill: Quill, run: Run) -> None:
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

    def test_attempts_lists_all_attempts(self, quill: Quill, run: Run) -> None:
        fail(quill, "sync", "w1", "first")
        quill.job_runs.start("sync", "w1", lease=EXPIRED)
        succeed(quill, "sync", "w1")
        shown = document(run("jobs", "attempts", "sync", "w1", "--json"))
        assert (shown["job_name"], shown["window"]) == ("sync", "w1")
        assert [
            (each["attempt"], each["status"], (each["error"] or {}).get("type"))
            for each in shown["attempts"]
        ] == [(1, "failed", "ValueError"), (2, "failed", "LeaseEnded"), (3, "succeeded", None)]
        for_people = succeeded(run("jobs", "attempts", "sync", "w1"))
        assert "ValueError: first" in for_people
        assert "no renewal since" in for_people
        assert "Job sync, window w9, does not exist" in failed(
            run("jobs", "attempts", "sync", "w9")
        )

    def test_cancel_running_run_changes_status(self, quill: Quill, run: Run) -> None:
        lease_holder = quill.job_runs.start("sync", "w1")
        assert "Cancelled job sync, window w1: attempt 1" in succeeded(
            run("jobs", "cancel", "sync", "w1")
        )
        with pytest.raises(LeaseLost):
            lease_holder.save_checkpoint({"page": 2})
        again = succeeded(run("jobs", "cancel", "sync", "w1"))
        assert "There is nothing to cancel" in again
        assert "already cancelled at" in again

        succeed(quill, "sync", "w2")
        assert "already succeeded at" in succeeded(run("jobs", "cancel", "sync", "w2"))
        quill.job_runs.start("sync", "w3", lease=EXPIRED)
        for expected in (True, False):
            shown = document(run("jobs", "cancel", "sync", "w3", "--json"))
            assert shown["cancelled"] is expected
            assert shown["run"]["status"] == "cancelled"
        missing = run("jobs", "cancel", "sync", "w9", "--json")
        assert "Job sync, window w9, does not exist" in failed(missing)
        (error,) = json.loads(missing.stdout)["errors"]
        assert (error["type"], error["job_name"], error["window"]) == ("NotFound", "sync", "w9")


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
def test_jobs_wrong_usage_exits_with_2(run: Run, arguments: str) -> None:
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
def test_jobs_without_table_names_schema_apply(run: Run, arguments: str) -> None:
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
    """Runs the program on a terminal, and yields a function that waits for a text on it."""
    terminal, child_end = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=child_end,
        stdout=child_end,
        stderr=child_end,
        cwd=folder,
        env={**os.environ, **environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "50"},
    )
    os.close(child_end)
    output = ""

    def until(text: str) -> str:
        """Return all output when the text was printed. Without a text, wait for the end."""
        nonlocal output
        deadline = time.monotonic() + 120
        while not text or text not in output:
            assert time.monotonic() < deadline, output
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:
                data = b""
            if not data:
                assert not text, output
                break
            output += data.decode(errors="replace")
        return output

    try:
        yield process, until
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(terminal)


class TestWatch:
    def test_watch_refreshes_until_ctrl_c(
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
            quill.job_runs.start("sync", "w2", lease=EXPIRED)
            of_jobs("STALE")
            of_events("\x1b[1A")
            for process in (jobs, events):
                process.send_signal(signal.SIGINT)
            for process, until in ((jobs, of_jobs), (events, of_events)):
                shown = until("")
                assert process.wait(60) == 0
                assert "every 1 s, Ctrl-C to stop" in shown
                # The cursor moves up before each refresh.
                assert "\x1b[1A" in shown
                for noise in ("Traceback", "Abort", "Error"):
                    assert noise not in shown

    def test_watch_without_server_exits_with_1(
        self, on_the_table: Mapping[str, str], tmp_path: Path
    ) -> None:
        environ = {**on_the_table, "DYNAMODB_ENDPOINT": UNREACHABLE}
        with on_a_terminal(tmp_path, environ, "jobs", "--watch") as (jobs, of_jobs):
            shown = of_jobs("")
            assert jobs.wait(60) == 1
        assert "quill local start" in shown
        assert "Traceback" not in shown

    def test_watch_dumb_terminal_exits_with_2(self, run: Run) -> None:
        finished = run("jobs", "--watch", TERM="dumb", FORCE_COLOR="1")
        assert finished.returncode == 2
        assert "needs a terminal" in finished.stderr


def test_age_returns_distance_in_words() -> None:
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
