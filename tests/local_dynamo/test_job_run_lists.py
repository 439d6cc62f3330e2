"""Lists of job runs: stale, by job, by status and the last success."""

from typing import Any

import pytest

from quill_models import JobStatus, Quill
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.support import HOUR, MINUTE, SECOND, on_the_wire

WINDOW = "2031-05-17T12"

quill = tables.emptied


def windows(runs: Any) -> list[str]:
    return [run.window for run in runs]


def run_once(quill: Quill, job: str = "job", window: str = WINDOW) -> None:
    with quill.job_runs.start(job, window):
        pass


class BrokenError(Exception):
    pass


def fail_once(quill: Quill, window: str) -> None:
    with pytest.raises(BrokenError), quill.job_runs.start("job", window):
        raise BrokenError


def test_stale_returns_expired_leases_oldest_first(quill: Quill, quill_clock: FrozenClock) -> None:
    for window, lease in (("b", 2 * MINUTE), ("a", HOUR), ("c", MINUTE)):
        quill.job_runs.start("job", window, lease=lease)
    run_once(quill, window="done")
    fail_once(quill, window="failed")
    assert list(quill.job_runs.stale()) == []
    quill_clock.tick(2 * MINUTE + SECOND)
    assert windows(quill.job_runs.stale()) == ["c", "b"]
    run_once(quill, window="c")
    assert windows(quill.job_runs.stale()) == ["b"]


def test_stale_lease_expiring_now_is_included(quill: Quill, quill_clock: FrozenClock) -> None:
    quill.job_runs.start("job", WINDOW, lease=MINUTE)
    quill_clock.tick(MINUTE)
    stale = windows(quill.job_runs.stale())
    quill.job_runs.start("job", WINDOW, lease=MINUTE)
    assert stale == [WINDOW]


def test_stale_pages_include_each_run_once(quill: Quill, quill_clock: FrozenClock) -> None:
    for number in range(3):
        quill.job_runs.start("job", str(number), lease=(number + 1) * SECOND)
    quill_clock.tick(HOUR)
    page = quill.job_runs.stale().page(2)
    quill_clock.tick(SECOND)
    rest = quill.job_runs.stale().page(2, page.cursor)
    assert windows([*page.items, *rest.items]) == ["0", "1", "2"]


def test_list_by_job_returns_newest_first(quill: Quill, quill_clock: FrozenClock) -> None:
    for window in ("z", "a", "m"):
        run_once(quill, window=window)
        quill_clock.tick(SECOND)
    run_once(quill, job="job1", window="other")
    assert windows(quill.job_runs.list_by_job("job")) == ["m", "a", "z"]
    with quill.job_runs.start("job", "z", force=True):
        pass
    assert windows(quill.job_runs.list_by_job("job")) == ["z", "m", "a"]


def test_list_by_status_follows_status(quill: Quill, quill_clock: FrozenClock) -> None:
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


def test_last_success_returns_latest_finish(quill: Quill, quill_clock: FrozenClock) -> None:
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
