"""Job runs: one holder for each window, until its lease ends."""

import os
import shlex
import threading
import time
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from quill_models import AlreadyRunning, AlreadySucceeded, JobStatus, LeaseLost, Quill, connect
from quill_models.errors import InvalidValue
from quill_models.settings import Settings
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    is_as_stored,
    on_the_wire,
    race,
    store,
    stored,
)

WINDOW = "2031-05-17T12"

quill = tables.emptied


def windows(runs: Any) -> list[str]:
    return [run.window for run in runs]


def run_once(quill: Quill, job: str = "job", window: str = WINDOW) -> None:
    with quill.job_runs.start(job, window):
        pass


class BrokenError(Exception):
    pass


def fail_once(quill: Quill, window: str = WINDOW, message: str = "no data") -> None:
    with pytest.raises(BrokenError), quill.job_runs.start("job", window):
        raise BrokenError(message)


class TestLife:
    def test_from_start_to_success(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with quill.job_runs.start("job", WINDOW, lease=5 * MINUTE) as run:
            assert (run.job_name, run.window) == ("job", WINDOW)
            assert (run.attempt, run.checkpoint) == (1, {})
            found = quill.job_runs.get("job", WINDOW)
            assert found is not None
            assert found.status is JobStatus.RUNNING
            assert (found.started_at, found.lease_expires_at) == (NOON, NOON + 5 * MINUTE)
            assert found.finished_at is None
            assert found.owner.endswith(f":{os.getpid()}")
            run.stats["rows"] = 7
            quill_clock.tick(MINUTE)
        done = quill.job_runs.get("job", WINDOW)
        assert done is not None
        assert done.status is JobStatus.SUCCEEDED
        assert (done.started_at, done.finished_at) == (NOON, NOON + MINUTE)
        assert (done.stats, done.error) == ({"rows": 7}, None)
        assert (done.run_id, done.created_at) == (found.run_id, NOON)
        assert is_as_stored(quill, done)

    def test_a_fresh_window_each_time(self, quill: Quill) -> None:
        with quill.job_runs.start("job") as one, quill.job_runs.start("job") as other:
            assert one.window != other.window
        assert len(list(quill.job_runs.list_by_job("job"))) == 2

    def test_starting_is_one_request(self, quill: Quill) -> None:
        run_once(quill, window="first")
        with on_the_wire(quill) as sent:
            quill.job_runs.start("job", WINDOW)
        assert sent == ["PutItem"]

    @pytest.mark.parametrize("lease", [timedelta(0), -SECOND])
    def test_no_lease_at_all(self, quill: Quill, lease: timedelta) -> None:
        with pytest.raises(InvalidValue, match="lease"):
            quill.job_runs.start("job", WINDOW, lease=lease)

    def test_retention(self, quill: Quill, quill_clock: FrozenClock) -> None:
        run_once(quill)
        quill_clock.tick(91 * DAY)
        assert quill.job_runs.get("job", WINDOW) is None
        assert list(quill.job_runs.list_by_job("job")) == []
        assert quill.job_runs.last_success("job") is None
        with quill.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 1

    def test_lost_answers(self, behind_proxy: Quill, proxy: Proxy) -> None:
        proxy.lose("PutItem")
        with behind_proxy.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 1
            proxy.lose("PutItem")
            run.save_checkpoint({"at": 1})
            proxy.lose("PutItem")
        found = behind_proxy.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.status, found.checkpoint) == (JobStatus.SUCCEEDED, {"at": 1})
        proxy.lose("PutItem", times=2)
        with behind_proxy.job_runs.start("job", WINDOW, force=True) as run:
            assert run.attempt == 2


class TestRefusals:
    def test_already_running(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with quill.job_runs.start("job", WINDOW, lease=5 * MINUTE):
            quill_clock.tick(5 * MINUTE - SECOND)
            for force in (False, True):
                with pytest.raises(AlreadyRunning, match=WINDOW) as raised:
                    quill.job_runs.start("job", WINDOW, force=force)
                assert raised.value.run == quill.job_runs.get("job", WINDOW)
                assert "lease expires at 2031-05-17 12:05:00 UTC" in str(raised.value)
                assert str(raised.value).endswith(f"quill jobs cancel job {WINDOW}")
            run_once(quill, window="another")
            run_once(quill, job="another")

    @pytest.mark.parametrize(
        ("window", "shown"), [("a b", "'a b'"), ("$HOME", "'$HOME'"), ("-1", "-- job -1")]
    )
    def test_already_running_says_how_to_end_it(
        self, quill: Quill, window: str, shown: str
    ) -> None:
        quill.job_runs.start("job", window)
        with pytest.raises(AlreadyRunning) as raised:
            quill.job_runs.start("job", window)
        assert str(raised.value).endswith(shown)
        command = shlex.split(str(raised.value).rpartition("at once: ")[2])
        assert command[:3] == ["quill", "jobs", "cancel"]
        assert [word for word in command[3:] if word != "--"] == ["job", window]

    @pytest.mark.usefixtures("quill_clock")
    def test_already_succeeded(self, quill: Quill) -> None:
        run_once(quill)
        with pytest.raises(AlreadySucceeded, match="force=True") as raised:
            quill.job_runs.start("job", WINDOW)
        assert "succeeded at 2031-05-17 12:00:00 UTC." in str(raised.value)
        assert raised.value.run == quill.job_runs.get("job", WINDOW)
        assert raised.value.run.status is JobStatus.SUCCEEDED

    def test_force(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with quill.job_runs.start("job", WINDOW) as run:
            run.stats["rows"] = 7
        quill_clock.tick(HOUR)
        with quill.job_runs.start("job", WINDOW, force=True) as run:
            assert (run.attempt, run.stats) == (2, {})
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.attempt, found.created_at) == (2, NOON)
        assert found.started_at == NOON + HOUR


class TestFailure:
    @pytest.mark.usefixtures("quill_clock")
    def test_recorded_and_raised_on(self, quill: Quill) -> None:
        with (
            pytest.raises(BrokenError, match="no data"),
            quill.job_runs.start("job", WINDOW) as run,
        ):
            run.stats["rows"] = 3
            raise BrokenError("no data")
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.status, found.stats) == (JobStatus.FAILED, {"rows": 3})
        assert found.error is not None
        assert (found.error["type"], found.error["message"]) == ("BrokenError", "no data")
        assert 'raise BrokenError("no data")' in found.error["traceback"]
        assert found.finished_at == NOON

    def test_a_long_message_is_shortened(self, quill: Quill) -> None:
        fail_once(quill, message="x" * 500_000)
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert found.error is not None
        assert len(found.error["message"]) <= 1000
        assert len(found.error["traceback"]) <= 5000

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_an_interrupt(self, quill: Quill, error: type[BaseException]) -> None:
        with pytest.raises(error), quill.job_runs.start("job", WINDOW):
            raise error
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.status, (found.error or {})["type"]) == ("failed", error.__name__)

    @pytest.mark.usefixtures("quill_clock")
    def test_a_retry_goes_on_from_the_checkpoint(self, quill: Quill) -> None:
        with pytest.raises(BrokenError), quill.job_runs.start("job", WINDOW) as run:
            run.save_checkpoint({"page": 3, "share": 0.5})
            raise BrokenError
        with quill.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 2
            assert run.checkpoint == {"page": 3, "share": run.checkpoint["share"]}
            found = quill.job_runs.get("job", WINDOW)
            assert found is not None
            assert (found.status, found.error, found.finished_at) == ("running", None, None)

    @pytest.mark.usefixtures("quill_clock")
    def test_what_succeeded_begins_again(self, quill: Quill) -> None:
        with quill.job_runs.start("job", WINDOW) as run:
            run.save_checkpoint({"page": 9})
        with (
            pytest.raises(BrokenError),
            quill.job_runs.start("job", WINDOW, force=True) as run,
        ):
            assert (run.attempt, run.checkpoint) == (2, {})
            run.save_checkpoint({"page": 3})
            raise BrokenError
        with quill.job_runs.start("job", WINDOW) as run:
            assert (run.attempt, run.checkpoint) == (3, {"page": 3})
        kept = [each.checkpoint for each in quill.job_runs.attempts("job", WINDOW)]
        assert kept == [{"page": 9}, {"page": 3}, {"page": 3}]

    def test_what_was_cancelled_goes_on_from_the_checkpoint(self, quill: Quill) -> None:
        quill.job_runs.start("job", WINDOW).save_checkpoint({"page": 3})
        quill.job_runs.cancel("job", WINDOW)
        with quill.job_runs.start("job", WINDOW, force=True) as run:
            assert run.checkpoint == {"page": 3}

    def test_a_checkpoint_that_cannot_be_stored(self, quill: Quill) -> None:
        with quill.job_runs.start("job", WINDOW) as run:
            run.save_checkpoint({"page": 1})
            with pytest.raises(InvalidValue):
                run.save_checkpoint({"page": float("nan")})
            run.save_checkpoint({"page": 2})
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.status, found.checkpoint) == (JobStatus.SUCCEEDED, {"page": 2})


class TestTakeover:
    def test_after_the_lease_ended(self, quill: Quill, quill_clock: FrozenClock) -> None:
        old = quill.job_runs.start("job", WINDOW, lease=5 * MINUTE)
        old.save_checkpoint({"page": 3})
        quill_clock.tick(5 * MINUTE)
        with quill.job_runs.start("job", WINDOW, lease=5 * MINUTE) as new:
            assert (new.attempt, new.checkpoint) == (2, {"page": 3})
            assert new.fencing_token > old.fencing_token
            for write in (partial(old.save_checkpoint, {"page": 4}), old.renew):
                with pytest.raises(LeaseLost, match="attempt 2"):
                    write()
            new.save_checkpoint({"page": 5})
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.attempt, found.checkpoint) == (2, {"page": 5})

    def test_leaving_the_block(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with pytest.raises(LeaseLost), quill.job_runs.start("job", WINDOW, lease=HOUR):
            quill_clock.tick(HOUR)
            run_once(quill)
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.attempt, found.status) == (2, JobStatus.SUCCEEDED)

    def test_leaving_the_block_with_an_error(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with (
            pytest.raises(BrokenError) as raised,
            quill.job_runs.start("job", WINDOW, lease=HOUR),
        ):
            quill_clock.tick(HOUR)
            run_once(quill)
            raise BrokenError
        assert "could not be marked failed" in raised.value.__notes__[0]
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert found.status is JobStatus.SUCCEEDED

    def test_nobody_took_over(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with quill.job_runs.start("job", WINDOW, lease=HOUR) as run:
            quill_clock.tick(2 * HOUR)
            run.save_checkpoint({"page": 1})
            with pytest.raises(AlreadyRunning):
                quill.job_runs.start("job", WINDOW)

    def test_the_run_was_deleted(self, quill: Quill) -> None:
        with (
            pytest.raises(LeaseLost, match="deleted"),
            quill.job_runs.start("job", WINDOW) as run,
        ):
            found = quill.job_runs.get("job", WINDOW)
            assert found is not None
            quill.store.delete(found.key())
            run.save_checkpoint({})


class TestRenewal:
    def test_a_short_lease_outlives_a_long_body(self, quill: Quill) -> None:
        with quill.job_runs.start("job", WINDOW, lease=2 * SECOND) as run:
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                with pytest.raises(AlreadyRunning):
                    quill.job_runs.start("job", WINDOW)
                assert list(quill.job_runs.stale()) == []
                time.sleep(0.25)
            run.check()
            assert run.is_sure
            run.save_checkpoint({"done": True})
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.attempt, found.status) == (1, JobStatus.SUCCEEDED)
        assert found.heartbeat_at - found.started_at >= 3 * SECOND

    def test_without_the_block_a_lease_ends(self, quill: Quill) -> None:
        quill.job_runs.start("job", WINDOW, lease=timedelta(milliseconds=100))
        time.sleep(0.15)
        with quill.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 2

    def test_no_thread_stays(self, quill: Quill) -> None:
        before = threading.active_count()
        run_once(quill)
        assert threading.active_count() == before


class TestLists:
    def test_stale(self, quill: Quill, quill_clock: FrozenClock) -> None:
        for window, lease in (("b", 2 * MINUTE), ("a", HOUR), ("c", MINUTE)):
            quill.job_runs.start("job", window, lease=lease)
        run_once(quill, window="done")
        fail_once(quill, window="failed")
        assert list(quill.job_runs.stale()) == []
        quill_clock.tick(2 * MINUTE + SECOND)
        assert windows(quill.job_runs.stale()) == ["c", "b"]
        run_once(quill, window="c")
        assert windows(quill.job_runs.stale()) == ["b"]

    def test_a_run_is_stale_from_when_it_can_be_taken_over(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.job_runs.start("job", WINDOW, lease=MINUTE)
        quill_clock.tick(MINUTE)
        stale = windows(quill.job_runs.stale())
        quill.job_runs.start("job", WINDOW, lease=MINUTE)
        assert stale == [WINDOW]

    def test_stale_page_by_page(self, quill: Quill, quill_clock: FrozenClock) -> None:
        for number in range(3):
            quill.job_runs.start("job", str(number), lease=(number + 1) * SECOND)
        quill_clock.tick(HOUR)
        page = quill.job_runs.stale().page(2)
        quill_clock.tick(SECOND)
        rest = quill.job_runs.stale().page(2, page.cursor)
        assert windows([*page.items, *rest.items]) == ["0", "1", "2"]

    def test_by_job_newest_first(self, quill: Quill, quill_clock: FrozenClock) -> None:
        for window in ("z", "a", "m"):
            run_once(quill, window=window)
            quill_clock.tick(SECOND)
        run_once(quill, job="job1", window="other")
        assert windows(quill.job_runs.list_by_job("job")) == ["m", "a", "z"]
        with quill.job_runs.start("job", "z", force=True):
            pass
        assert windows(quill.job_runs.list_by_job("job")) == ["z", "m", "a"]

    def test_by_status(self, quill: Quill, quill_clock: FrozenClock) -> None:
        for number in range(10):
            run_once(quill, job=f"job{number % 2}", window=str(number))
            quill_clock.tick(SECOND)
        by_status = quill.job_runs.list_by_status
        assert windows(by_status("succeeded")) == [str(number) for number in range(10)]
        assert windows(by_status("succeeded", newest_first=True))[0] == "9"
        with quill.job_runs.start("job0", "0", force=True):
            assert windows(by_status(JobStatus.RUNNING)) == ["0"]
            assert windows(by_status("succeeded"))[0] == "1"
        assert windows(by_status("running")) == []
        fail_once(quill, window="f")
        assert windows(by_status("failed")) == ["f"]
        with pytest.raises(ValueError, match="gone"):
            by_status("gone")

    def test_last_success(self, quill: Quill, quill_clock: FrozenClock) -> None:
        assert quill.job_runs.last_success("job") is None
        slow = quill.job_runs.start("job", "slow")
        quill_clock.tick(SECOND)
        run_once(quill, window="quick")
        quill_clock.tick(SECOND)
        with slow:
            pass
        quill_clock.tick(SECOND)
        fail_once(quill, window="failed")
        run_once(quill, job="job2", window="other")
        with quill.job_runs.start("job", "running"), on_the_wire(quill) as sent:
            last = quill.job_runs.last_success("job")
        assert last is not None
        assert (last.window, sent[:1]) == ("slow", ["Query"])


def start(settings: Settings, number: int) -> int:
    """How many of the windows this process got; each is held until all have tried."""
    won = 0
    with connect(settings) as quill:
        for window in range(20):
            try:
                run = quill.job_runs.start("job", str(window))
            except AlreadyRunning:
                continue
            run.stats["by"] = number
            run.save_checkpoint({"by": number})
            won += 1
    return won


def test_two_processes_start_the_same_windows(quill: Quill) -> None:
    won = race(start, [(quill.settings, 0), (quill.settings, 1)])
    assert sum(won) == 20
    held = [quill.job_runs.get("job", str(window)) for window in range(20)]
    assert all(run is not None and run.attempt == 1 for run in held)
    assert sum(run.checkpoint["by"] == 1 for run in held if run) == won[1]


def test_attributes_of_a_newer_version_survive(quill: Quill) -> None:
    run_once(quill)
    found = quill.job_runs.get("job", WINDOW)
    assert found is not None
    raw = stored(quill, found.key())
    assert raw is not None
    store(quill, {**raw, "trigger": {"S": "cron"}})
    with quill.job_runs.start("job", WINDOW, force=True) as run:
        run.save_checkpoint({"a": 1})
    after = stored(quill, found.key())
    assert after is not None
    assert after["trigger"] == {"S": "cron"}
