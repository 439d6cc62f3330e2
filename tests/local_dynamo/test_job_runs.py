"""Job runs: success, failure, leases and takeovers."""

import os
import shlex
import threading
import time
from datetime import timedelta
from functools import partial

import pytest

from quill_models import AlreadyRunning, AlreadySucceeded, JobStatus, LeaseLost, Quill, connect
from quill_models.errors import InvalidPayload, InvalidValue
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


def run_once(quill: Quill, job: str = "job", window: str = WINDOW) -> None:
    with quill.job_runs.start(job, window):
        pass


class BrokenError(Exception):
    pass


class TestSuccess:
    def test_run_success_stores_times_stats_and_owner(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
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

    def test_start_without_window_generates_unique_window(self, quill: Quill) -> None:
        with quill.job_runs.start("job") as one, quill.job_runs.start("job") as other:
            assert one.window != other.window
        assert len(list(quill.job_runs.list_by_job("job"))) == 2

    def test_start_sends_one_request(self, quill: Quill) -> None:
        run_once(quill, window="first")
        with on_the_wire(quill) as sent:
            quill.job_runs.start("job", WINDOW)
        assert sent == ["PutItem"]

    @pytest.mark.parametrize("lease", [timedelta(0), -SECOND])
    def test_start_lease_not_positive_raises_invalid_value(
        self, quill: Quill, lease: timedelta
    ) -> None:
        with pytest.raises(InvalidValue, match="lease"):
            quill.job_runs.start("job", WINDOW, lease=lease)

    def test_run_expires_after_retention(self, quill: Quill, quill_clock: FrozenClock) -> None:
        run_once(quill)
        quill_clock.tick(91 * DAY)
        assert quill.job_runs.get("job", WINDOW) is None
        assert list(quill.job_runs.list_by_job("job")) == []
        assert quill.job_runs.last_success("job") is None
        with quill.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 1

    def test_run_lost_responses_take_effect_once(self, behind_proxy: Quill, proxy: Proxy) -> None:
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


class TestStart:
    def test_start_running_window_raises_already_running(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
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
    def test_already_running_message_quotes_cancel_command(
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
    def test_start_succeeded_window_raises_already_succeeded(self, quill: Quill) -> None:
        run_once(quill)
        with pytest.raises(AlreadySucceeded, match="force=True") as raised:
            quill.job_runs.start("job", WINDOW)
        assert "succeeded at 2031-05-17 12:00:00 UTC." in str(raised.value)
        assert raised.value.run == quill.job_runs.get("job", WINDOW)
        assert raised.value.run.status is JobStatus.SUCCEEDED

    def test_start_force_reruns_succeeded_window(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
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
    def test_run_failure_is_recorded_and_raised(self, quill: Quill) -> None:
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

    def test_run_failure_long_message_is_truncated(self, quill: Quill) -> None:
        with pytest.raises(BrokenError), quill.job_runs.start("job", WINDOW):
            raise BrokenError("x" * 500_000)
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert found.error is not None
        assert len(found.error["message"]) <= 1000
        assert len(found.error["traceback"]) <= 5000

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_run_interrupt_marks_failed(self, quill: Quill, error: type[BaseException]) -> None:
        with pytest.raises(error), quill.job_runs.start("job", WINDOW):
            raise error
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.status, (found.error or {})["type"]) == ("failed", error.__name__)

    @pytest.mark.usefixtures("quill_clock")
    def test_start_failed_window_continues_from_checkpoint(self, quill: Quill) -> None:
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
    def test_start_succeeded_window_begins_without_checkpoint(self, quill: Quill) -> None:
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

    def test_start_cancelled_window_continues_from_checkpoint(self, quill: Quill) -> None:
        quill.job_runs.start("job", WINDOW).save_checkpoint({"page": 3})
        quill.job_runs.cancel("job", WINDOW)
        with quill.job_runs.start("job", WINDOW, force=True) as run:
            assert run.checkpoint == {"page": 3}

    @pytest.mark.parametrize(
        ("page", "error"), [(float("nan"), InvalidValue), ("x" * 500 * 1024, InvalidPayload)]
    )
    def test_save_checkpoint_invalid_raises_and_run_continues(
        self, quill: Quill, page: object, error: type[Exception]
    ) -> None:
        with quill.job_runs.start("job", WINDOW) as run:
            run.save_checkpoint({"page": 1})
            with pytest.raises(error):
                run.save_checkpoint({"page": page})
            run.save_checkpoint({"page": 2})
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.status, found.checkpoint) == (JobStatus.SUCCEEDED, {"page": 2})


class TestTakeover:
    def test_start_expired_lease_takes_over(self, quill: Quill, quill_clock: FrozenClock) -> None:
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

    def test_block_exit_after_takeover_raises_lease_lost(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with pytest.raises(LeaseLost), quill.job_runs.start("job", WINDOW, lease=HOUR):
            quill_clock.tick(HOUR)
            run_once(quill)
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.attempt, found.status) == (2, JobStatus.SUCCEEDED)

    def test_block_error_after_takeover_is_raised_with_note(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
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

    def test_expired_lease_without_takeover_can_be_renewed(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with quill.job_runs.start("job", WINDOW, lease=HOUR) as run:
            quill_clock.tick(2 * HOUR)
            run.save_checkpoint({"page": 1})
            with pytest.raises(AlreadyRunning):
                quill.job_runs.start("job", WINDOW)

    def test_write_deleted_run_raises_lease_lost(self, quill: Quill) -> None:
        with (
            pytest.raises(LeaseLost, match="deleted"),
            quill.job_runs.start("job", WINDOW) as run,
        ):
            found = quill.job_runs.get("job", WINDOW)
            assert found is not None
            quill.store.delete(found.key())
            run.save_checkpoint({})


class TestRenewal:
    def test_block_renews_short_lease_in_background(self, quill: Quill) -> None:
        with quill.job_runs.start("job", WINDOW, lease=1.5 * SECOND) as run:
            deadline = time.monotonic() + 1.8
            while time.monotonic() < deadline:
                with pytest.raises(AlreadyRunning):
                    quill.job_runs.start("job", WINDOW)
                assert list(quill.job_runs.stale()) == []
                time.sleep(0.2)
            run.check()
            assert run.is_sure
            run.save_checkpoint({"done": True})
        found = quill.job_runs.get("job", WINDOW)
        assert found is not None
        assert (found.attempt, found.status) == (1, JobStatus.SUCCEEDED)
        assert found.heartbeat_at - found.started_at >= 1.8 * SECOND

    def test_run_without_block_lease_expires(self, quill: Quill) -> None:
        quill.job_runs.start("job", WINDOW, lease=timedelta(milliseconds=100))
        time.sleep(0.15)
        with quill.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 2

    def test_block_exit_ends_renewal_thread(self, quill: Quill) -> None:
        before = threading.active_count()
        run_once(quill)
        assert threading.active_count() == before


def start(settings: Settings, number: int) -> int:
    """Start each window and keep its lease. Returns the number of started windows."""
    started = 0
    with connect(settings) as quill:
        for window in range(20):
            try:
                run = quill.job_runs.start("job", str(window))
            except AlreadyRunning:
                continue
            run.stats["by"] = number
            run.save_checkpoint({"by": number})
            started += 1
    return started


def test_start_concurrent_processes_one_gets_each_window(quill: Quill) -> None:
    started = race(start, [(quill.settings, 0), (quill.settings, 1)])
    assert sum(started) == 20
    runs = [quill.job_runs.get("job", str(window)) for window in range(20)]
    assert all(run is not None and run.attempt == 1 for run in runs)
    assert sum(run.checkpoint["by"] == 1 for run in runs if run) == started[1]


def test_run_keeps_attributes_of_newer_version(quill: Quill) -> None:
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
