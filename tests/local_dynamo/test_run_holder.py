"""Writes of a lease holder: lost responses, invalid stats, ended runs and forked processes."""

import multiprocessing
from datetime import timedelta
from typing import Any

import pytest

from quill_models import JobStatus, LeaseLost, Quill, QuillError
from quill_models.errors import AnswerLost
from tests.local_dynamo import tables

quill = tables.emptied


def lose_next_response(quill: Quill, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the next put succeed on the server and raise ``error``."""
    table = quill._table
    request = table.request

    def put_then_raise(operation: str, **parameters: Any) -> None:
        assert operation == "put_item"
        monkeypatch.undo()
        request(operation, **parameters)
        raise error

    monkeypatch.setattr(table, "request", put_then_raise)


@pytest.mark.parametrize("error", [AnswerLost("lost"), KeyboardInterrupt()])
def test_run_lost_response_keeps_lease(
    quill: Quill, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with quill.job_runs.start("job", "w") as run:
        lose_next_response(quill, monkeypatch, error)
        with pytest.raises(type(error)):
            run.renew()
        run.save_checkpoint({"page": 2})
    stored = quill.job_runs.get("job", "w")
    assert stored is not None
    assert (stored.status, stored.checkpoint) == (JobStatus.SUCCEEDED, {"page": 2})


def test_run_write_after_end_raises_lease_lost(quill: Quill) -> None:
    with quill.job_runs.start("job", "w") as run:
        pass
    for write in (run.renew, lambda: run.save_checkpoint({"late": True})):
        with pytest.raises(LeaseLost, match="has ended"):
            write()
    success = quill.job_runs.last_success("job")
    assert success is not None
    assert success.checkpoint == {}


@pytest.mark.parametrize("stats", [{"bad": object()}, {"large": "x" * 500 * 1024}])
def test_run_invalid_stats_marks_run_failed(quill: Quill, stats: dict[str, Any]) -> None:
    with pytest.raises(QuillError), quill.job_runs.start("job", "w") as run:
        run.stats.update(stats)
    stored = quill.job_runs.get("job", "w")
    assert stored is not None
    assert stored.status is JobStatus.FAILED


def test_run_lease_lost_of_another_run_marks_run_failed(quill: Quill) -> None:
    with pytest.raises(LeaseLost, match="another"), quill.job_runs.start("job", "w"):
        raise LeaseLost("another run's")
    stored = quill.job_runs.get("job", "w")
    assert stored is not None
    assert stored.status is JobStatus.FAILED


def test_run_error_without_message_is_recorded(quill: Quill) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise ValueError

    with pytest.raises(SilentError), quill.job_runs.start("job", "w"):
        raise SilentError
    stored = quill.job_runs.get("job", "w")
    assert stored is not None
    assert stored.status is JobStatus.FAILED
    assert stored.error is not None
    assert (stored.error["type"], "ValueError" in stored.error["message"]) == ("SilentError", True)


def test_checkpoint_returns_copy(quill: Quill) -> None:
    with quill.job_runs.start("job", "w") as run:
        run.save_checkpoint({"page": 1})
        run.checkpoint["page"] = 2
        run.renew()
        assert run.checkpoint == {"page": 1}


def _read_and_write(quill: Quill, run: Any, number: int, outcomes: Any) -> None:
    from quill_models import Key  # noqa: PLC0415

    key = Key("forked", str(number))
    is_correct = quill.store.put(key, {"number": number}, if_not_exists=True)
    is_correct &= all(quill.store.get(key) == {"number": number} for _ in range(50))
    try:
        run.renew()
        is_correct = False
    except LeaseLost:
        pass
    watermark = quill.job_runs.watermark("job", "source")
    try:
        watermark.advance(number + 1, run=run)
        is_correct = False
    except LeaseLost:
        pass
    outcomes.put(is_correct and watermark.value is None)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_read_own_responses_and_cannot_write(quill: Quill) -> None:
    fork = multiprocessing.get_context("fork")
    outcomes = fork.Queue()
    with quill.job_runs.start("job", "w", lease=timedelta(minutes=1)) as run:
        children = [
            fork.Process(target=_read_and_write, args=(quill, run, number, outcomes))
            for number in range(4)
        ]
        for child in children:
            child.start()
        assert [outcomes.get(timeout=30) for _ in children] == [True] * 4
        for child in children:
            child.join()
