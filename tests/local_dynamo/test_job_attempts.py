"""What is kept of the attempts at a window, and how one is ended from outside."""

import time
from datetime import timedelta
from typing import Any

import pytest

from quill_models import AlreadyRunning, JobStatus, LeaseLost, Quill, Run
from quill_models.errors import InvalidValue
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import DAY, HOUR, MINUTE, NOON, HandClock, on_the_wire

WINDOW = "2031-05-17"


class BrokenError(Exception):
    pass


def failing(quill: Quill, **options: Any) -> None:
    with pytest.raises(BrokenError), quill.job_runs.start("job", WINDOW, **options):
        raise BrokenError("no")


class TestAttempts:
    def test_each_with_its_outcome(self, clocked: Quill, clock: HandClock) -> None:
        failing(clocked)
        clock.advance(HOUR)
        clocked.job_runs.start("job", WINDOW, lease=MINUTE)
        clock.advance(HOUR)
        with clocked.job_runs.start("job", WINDOW):
            clock.advance(MINUTE)
        first, second, third = clocked.job_runs.attempts("job", WINDOW)
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
        assert third == clocked.job_runs.get("job", WINDOW)

    def test_none_outlives_the_run(self, clocked: Quill, clock: HandClock) -> None:
        # The first attempt's lease, and so its retention, would have gone on for a year.
        failing(clocked, lease=365 * DAY)
        failing(clocked)
        clock.advance(90 * DAY - MINUTE)
        assert [each.attempt for each in clocked.job_runs.attempts("job", WINDOW)] == [1, 2]
        clock.advance(MINUTE)
        assert clocked.job_runs.attempts("job", WINDOW) == []
        failing(clocked)
        failing(clocked)
        assert [each.attempt for each in clocked.job_runs.attempts("job", WINDOW)] == [1, 2]

    def test_there_are_none(self, clocked: Quill) -> None:
        assert clocked.job_runs.attempts("job", WINDOW) == []

    def test_of_one_window_only(self, clocked: Quill) -> None:
        for window in ("1", "1#", "10", "1#0000000001", "!", "1%23"):
            with pytest.raises(BrokenError), clocked.job_runs.start("job", window):
                raise BrokenError
            with clocked.job_runs.start("job", window):
                pass
        for window in ("1", "1#", "10", "1#0000000001", "!", "1%23"):
            found = clocked.job_runs.attempts("job", window)
            assert [(each.window, each.attempt) for each in found] == [(window, 1), (window, 2)]

    def test_one_request(self, clocked: Quill) -> None:
        failing(clocked)
        failing(clocked)
        with on_the_wire(clocked) as sent:
            clocked.job_runs.attempts("job", WINDOW)
        assert sent == ["Query"]

    def test_are_in_no_list_of_runs(self, clocked: Quill) -> None:
        failing(clocked)
        failing(clocked)
        assert clocked.job_runs.list_by_job("job").count() == 1
        assert clocked.job_runs.list_by_status("failed").count() == 1

    def test_a_lost_answer(self, behind_proxy: Quill, proxy: Proxy) -> None:
        proxy.lose("PutItem")
        with behind_proxy.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 1
        proxy.lose("TransactWriteItems")
        with behind_proxy.job_runs.start("job", WINDOW, force=True) as run:
            assert run.attempt == 2
        assert len(behind_proxy.job_runs.attempts("job", WINDOW)) == 2

    def test_a_window_too_long_for_them(self, clocked: Quill) -> None:
        with pytest.raises(InvalidValue, match="Give a shorter identifier"):
            clocked.job_runs.start("job", "w" * 1015)


class TestFencing:
    def test_grows_past_what_is_forgotten(self, clocked: Quill, clock: HandClock) -> None:
        with clocked.job_runs.start("job", WINDOW) as first:
            pass
        clock.advance(91 * DAY)
        with clocked.job_runs.start("job", WINDOW) as second:
            assert second.attempt == 1
        assert second.fencing_token > first.fencing_token

    def test_grows_where_the_clock_goes_back(self, clocked: Quill, clock: HandClock) -> None:
        with clocked.job_runs.start("job", WINDOW) as first:
            pass
        clock.advance(-HOUR)
        with clocked.job_runs.start("job", WINDOW, force=True) as second:
            pass
        assert second.fencing_token == first.fencing_token + 1


class TestLastSuccess:
    def test_is_not_forgotten_while_it_runs_again(self, clocked: Quill, clock: HandClock) -> None:
        with clocked.job_runs.start("job", WINDOW):
            pass
        clock.advance(HOUR)
        with clocked.job_runs.start("job", WINDOW, force=True):
            running = clocked.job_runs.last_success("job")
            assert running is not None
            assert (running.attempt, running.finished_at) == (1, NOON)
        done = clocked.job_runs.last_success("job")
        assert done is not None
        assert (done.attempt, done.finished_at) == (2, NOON + HOUR)

    def test_nor_where_it_then_fails(self, clocked: Quill, clock: HandClock) -> None:
        with clocked.job_runs.start("job", WINDOW):
            pass
        clock.advance(HOUR)
        failing(clocked, force=True)
        found = clocked.job_runs.last_success("job")
        assert found is not None
        assert (found.attempt, found.status) == (1, JobStatus.SUCCEEDED)


class TestCancel:
    def test_what_its_holder_writes_is_refused(self, clocked: Quill) -> None:
        run = clocked.job_runs.start("job", WINDOW)
        cancelled = clocked.job_runs.cancel("job", WINDOW)
        assert cancelled is not None
        assert (cancelled.status, cancelled.finished_at) == (JobStatus.CANCELLED, NOON)
        for write in (
            lambda: run.save_checkpoint({"page": 1}),
            run.renew,
            lambda: clocked.job_runs.watermark("job", "crm").advance(7, run=run),
        ):
            with pytest.raises(LeaseLost, match="cancelled"):
                write()
        assert clocked.job_runs.get("job", WINDOW) == cancelled
        assert clocked.job_runs.list_by_status("cancelled").count() == 1

    def test_leaving_the_block_says_so(self, clocked: Quill) -> None:
        with pytest.raises(LeaseLost), clocked.job_runs.start("job", WINDOW):
            clocked.job_runs.cancel("job", WINDOW)

    def test_it_can_be_started_again(self, clocked: Quill) -> None:
        clocked.job_runs.start("job", WINDOW)
        with pytest.raises(AlreadyRunning):
            clocked.job_runs.start("job", WINDOW)
        clocked.job_runs.cancel("job", WINDOW)
        with clocked.job_runs.start("job", WINDOW) as run:
            assert run.attempt == 2
        statuses = [each.status.value for each in clocked.job_runs.attempts("job", WINDOW)]
        assert statuses == ["cancelled", "succeeded"]

    def test_what_is_over_stays_as_it_is(self, clocked: Quill) -> None:
        with clocked.job_runs.start("job", WINDOW):
            pass
        found = clocked.job_runs.cancel("job", WINDOW)
        assert found is not None
        assert found.status is JobStatus.SUCCEEDED

    def test_there_is_none(self, clocked: Quill) -> None:
        assert clocked.job_runs.cancel("job", WINDOW) is None


class TestSure:
    def test_as_long_as_it_is_renewed(self, quill: Quill) -> None:
        with quill.job_runs.start("job", WINDOW, lease=timedelta(seconds=1)) as run:
            time.sleep(1.5)
            run.check()
            assert run.is_sure

    def test_no_longer_before_the_lease_ends(self, quill: Quill) -> None:
        run = quill.job_runs.start("job", WINDOW, lease=timedelta(seconds=1))
        assert sure(run)
        time.sleep(0.9)
        assert not sure(run)
        with pytest.raises(LeaseLost, match="about to end"):
            run.check()
        run.renew()
        run.check()

    def test_no_longer_when_it_is_over(self, quill: Quill) -> None:
        with quill.job_runs.start("job", WINDOW) as run:
            assert sure(run)
        assert not sure(run)
        with pytest.raises(LeaseLost, match="is over"):
            run.check()


def sure(run: Run) -> bool:
    return run.is_sure
