"""Attempts of a window, fencing tokens, the last success, cancelling and lease checks."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from quill_models import AlreadyRunning, JobStatus, LeaseLost, Quill, Run
from quill_models.errors import InvalidValue
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.support import DAY, HOUR, MINUTE, NOON, on_the_wire

pytestmark = pytest.mark.usefixtures("quill_clock")

WINDOW = "2031-05-17"

quill = tables.emptied


class BrokenError(Exception):
    pass


def failing(quill: Quill, **options: Any) -> None:
    with pytest.raises(BrokenError), quill.job_runs.start("job", WINDOW, **options):
        raise BrokenError("no")


class TestAttempts:
    def test_attempts_retried_window_returns_each_outcome(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        failing(quill)
        quill_clock.tick(HOUR)
        quill.job_runs.start("job", WINDOW, lease=MINUTE)
        quill_clock.tick(HOUR)
        with quill.job_runs.start("job", WINDOW):
            quill_clock.tick(MINUTE)
        first, second, third = quill.job_runs.attempts("job", WINDOW)
        assert [each.attempt for each in (first, second, third)] == [1, 2, 3]
        assert [each.status.value for each in (first, second, third)] == [
            "failed",
            "failed",
            "succeeded",
        ]
        assert first.error is not None
        assert first.error["message"] == "no"
        assert second.error is not None
        assert second.error["type"] == "LeaseEnded"
        assert second.finished_at == NOON + HOUR + MINUTE
        assert (third.started_at, third.finished_at) == (
            NOON + 2 * HOUR,
            NOON + 2 * HOUR + MINUTE,
        )
        assert first.fencing_token < second.fencing_token < third.fencing_token
        assert len({each.run_id for each in (first, second, third)}) == 3
        assert third == quill.job_runs.get("job", WINDOW)

    def test_attempts_expired_run_are_not_returned(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        # The lease of the first attempt, and so its retention, would end in a year.
        failing(quill, lease=365 * DAY)
        failing(quill)
        quill_clock.tick(90 * DAY - MINUTE)
        assert [each.attempt for each in quill.job_runs.attempts("job", WINDOW)] == [1, 2]
        quill_clock.tick(MINUTE)
        assert quill.job_runs.attempts("job", WINDOW) == []
        failing(quill)
        failing(quill)
        assert [each.attempt for each in quill.job_runs.attempts("job", WINDOW)] == [1, 2]

    def test_attempts_unknown_window_is_empty(self, quill: Quill) -> None:
        assert quill.job_runs.attempts("job", WINDOW) == []

    def test_attempts_similar_window_names_are_separate(self, quill: Quill) -> None:
        for window in ("1", "1#", "10", "1#0000000001", "!", "1%23"):
            with pytest.raises(BrokenError), quill.job_runs.start("job", window):
                raise BrokenError
            with quill.job_runs.start("job", window):
                pass
        for window in ("1", "1#", "10", "1#0000000001", "!", "1%23"):
            found = quill.job_runs.attempts("job", window)
            assert [(each.window, each.attempt) for each in found] == [(window, 1), (window, 2)]

    def test_attempts_sends_one_query(self, quill: Quill) -> None:
        failing(quill)
        failing(quill)
        with on_the_wire(quill) as sent:
            quill.job_runs.attempts("job", WINDOW)
        assert sent == ["Query"]

    def test_list_retried_window_returns_one_run(self, quill: Quill) -> None:
        failing(quill)
        failing(quill)
        assert quill.job_runs.list_by_job("job").count() == 1
        assert quill.job_runs.list_by_status("failed").count() == 1

    def test_start_window_too_long_raises_invalid_value(self, quill: Quill) -> None:
        with pytest.raises(InvalidValue, match="Use a shorter identifier"):
            quill.job_runs.start("job", "w" * 1015)


class TestFencingToken:
    def test_fencing_token_grows_after_run_expired(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with quill.job_runs.start("job", WINDOW) as first:
            pass
        quill_clock.tick(91 * DAY)
        with quill.job_runs.start("job", WINDOW) as second:
            assert second.attempt == 1
        assert second.fencing_token > first.fencing_token

    def test_fencing_token_grows_if_clock_goes_back(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with quill.job_runs.start("job", WINDOW) as first:
            pass
        quill_clock.tick(-HOUR)
        with quill.job_runs.start("job", WINDOW, force=True) as second:
            pass
        assert second.fencing_token == first.fencing_token + 1


class TestLastSuccess:
    def test_last_success_is_kept_while_window_runs_again(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with quill.job_runs.start("job", WINDOW):
            pass
        quill_clock.tick(HOUR)
        with quill.job_runs.start("job", WINDOW, force=True):
            running = quill.job_runs.last_success("job")
            assert running is not None
            assert (running.attempt, running.finished_at) == (1, NOON)
        done = quill.job_runs.last_success("job")
        assert done is not None
        assert (done.attempt, done.finished_at) == (2, NOON + HOUR)

    def test_last_success_is_kept_after_rerun_fails(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with quill.job_runs.start("job", WINDOW):
            pass
        quill_clock.tick(HOUR)
        failing(quill, force=True)
        found = quill.job_runs.last_success("job")
        assert found is not None
        assert (found.attempt, found.status) == (1, JobStatus.SUCCEEDED)


class TestCancel:
    def test_cancel_makes_writes_raise_lease_lost(self, quill: Quill) -> None:
        run = quill.job_runs.start("job", WINDOW)
        cancelled = quill.job_runs.cancel("job", WINDOW)
        assert cancelled is not None
        assert (cancelled.status, cancelled.finished_at) == (JobStatus.CANCELLED, NOON)
        for write in (
            lambda: run.save_checkpoint({"page": 1}),
            run.renew,
            lambda: quill.job_runs.watermark("job", "crm").advance(7, run=run),
        ):
            with pytest.raises(LeaseLost, match="cancelled"):
                write()
        assert quill.job_runs.get("job", WINDOW) == cancelled
        assert quill.job_runs.list_by_status("cancelled").count() == 1

    def test_cancel_inside_block_raises_lease_lost_at_exit(self, quill: Quill) -> None:
        with pytest.raises(LeaseLost), quill.job_runs.start("job", WINDOW):
            quill.job_runs.cancel("job", WINDOW)

    def test_start_cancelled_window_begins_next_attempt(self, quill: Quill) -> None:
        quill.job_runs.start("job", WINDOW)
        with pytest.raises(AlreadyRunning):
            quill.job_runs.start("job", WINDOW)
        quill.job_runs.cancel("job", WINDOW)
        with quill.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 2
        statuses = [each.status.value for each in quill.job_runs.attempts("job", WINDOW)]
        assert statuses == ["cancelled", "succeeded"]

    def test_cancel_succeeded_run_is_unchanged(self, quill: Quill) -> None:
        with quill.job_runs.start("job", WINDOW):
            pass
        found = quill.job_runs.cancel("job", WINDOW)
        assert found is not None
        assert found.status is JobStatus.SUCCEEDED

    def test_cancel_unknown_window_returns_none(self, quill: Quill) -> None:
        assert quill.job_runs.cancel("job", WINDOW) is None


class TestCheck:
    def test_check_last_fifth_of_lease_raises_lease_lost(
        self, quill: Quill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elapsed = 0.0
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + elapsed)
        for module in ("lease", "run"):
            monkeypatch.setattr(f"quill_models.repositories.{module}.time", later)
        run = quill.job_runs.start("job", WINDOW, lease=HOUR)
        elapsed = 0.7 * HOUR.total_seconds()
        assert is_sure(run)
        elapsed = 0.8 * HOUR.total_seconds()
        assert not is_sure(run)
        with pytest.raises(LeaseLost, match="expires soon"):
            run.check()
        run.renew()
        run.check()

    def test_check_ended_run_raises_lease_lost(self, quill: Quill) -> None:
        with quill.job_runs.start("job", WINDOW) as run:
            assert is_sure(run)
        assert not is_sure(run)
        with pytest.raises(LeaseLost, match="has ended"):
            run.check()


def is_sure(run: Run) -> bool:
    """Return `run.is_sure`, which type checkers would take for a constant."""
    return run.is_sure
