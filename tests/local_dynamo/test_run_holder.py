"""What a holder of a run writes, when answers are lost, stats are bad, or it is over."""

import multiprocessing
from datetime import timedelta
from typing import Any

import pytest

from quill_models import JobStatus, LeaseLost, Quill, QuillError
from quill_models.errors import AnswerLost, InvalidPayload
from tests.local_dynamo import tables

quill = tables.emptied


def lose_next_answer(quill: Quill, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """The next put is done, and its answer does not arrive."""
    table = quill._table
    request = table.request

    def done_but_unanswered(operation: str, **parameters: Any) -> None:
        assert operation == "put_item"
        monkeypatch.undo()
        request(operation, **parameters)
        raise error

    monkeypatch.setattr(table, "request", done_but_unanswered)


@pytest.mark.parametrize("error", [AnswerLost("lost"), KeyboardInterrupt()])
def test_a_lost_answer_does_not_cost_the_lease(
    quill: Quill, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with quill.job_runs.start("job", "w") as run:
        lose_next_answer(quill, monkeypatch, error)
        with pytest.raises(type(error)):
            run.renew()
        run.save_checkpoint({"page": 2})
    stored = quill.job_runs.get("job", "w")
    assert stored is not None
    assert (stored.status, stored.checkpoint) == (JobStatus.SUCCEEDED, {"page": 2})


def test_a_run_that_is_over_writes_nothing_more(quill: Quill) -> None:
    with quill.job_runs.start("job", "w") as run:
        pass
    for write in (run.renew, lambda: run.save_checkpoint({"late": True})):
        with pytest.raises(LeaseLost, match="has ended"):
            write()
    success = quill.job_runs.last_success("job")
    assert success is not None
    assert success.checkpoint == {}


@pytest.mark.parametrize("stats", [{"bad": object()}, {"large": "x" * 500 * 1024}])
def test_stats_that_cannot_be_stored_make_a_failed_run(quill: Quill, stats: dict[str, Any]) -> None:
    with pytest.raises(QuillError), quill.job_runs.start("job", "w") as run:
        run.stats.update(stats)
    stored = quill.job_runs.get("job", "w")
    assert stored is not None
    assert stored.status is JobStatus.FAILED


def test_a_checkpoint_over_400_kilobytes_is_refused(quill: Quill) -> None:
    with quill.job_runs.start("job", "w") as run:
        with pytest.raises(InvalidPayload, match="400 KB"):
            run.save_checkpoint({"large": "x" * 500 * 1024})
        run.save_checkpoint({"small": True})


def test_a_lease_that_another_run_lost_is_this_ones_failure(quill: Quill) -> None:
    with pytest.raises(LeaseLost, match="another"), quill.job_runs.start("job", "w"):
        raise LeaseLost("another run's")
    stored = quill.job_runs.get("job", "w")
    assert stored is not None
    assert stored.status is JobStatus.FAILED


def test_an_error_that_cannot_say_what_it_is(quill: Quill) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    with pytest.raises(MuteError), quill.job_runs.start("job", "w"):
        raise MuteError
    stored = quill.job_runs.get("job", "w")
    assert stored is not None
    assert stored.status is JobStatus.FAILED
    assert stored.error is not None
    assert (stored.error["type"], "ValueError" in stored.error["message"]) == ("MuteError", True)


def test_the_checkpoint_is_a_copy(quill: Quill) -> None:
    with quill.job_runs.start("job", "w") as run:
        run.save_checkpoint({"page": 1})
        run.checkpoint["page"] = 2
        run.renew()
        assert run.checkpoint == {"page": 1}


def _read_and_write(quill: Quill, run: Any, number: int, found: Any) -> None:
    from quill_models import Key  # noqa: PLC0415

    key = Key("forked", str(number))
    right = quill.store.put(key, {"number": number}, if_not_exists=True)
    right &= all(quill.store.get(key) == {"number": number} for _ in range(50))
    try:
        run.renew()
        right = False
    except LeaseLost:
        pass
    mark = quill.job_runs.watermark("job", "source")
    try:
        mark.advance(number + 1, run=run)
        right = False
    except LeaseLost:
        pass
    found.put(right and mark.value is None)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_read_their_own_answers(quill: Quill) -> None:
    fork = multiprocessing.get_context("fork")
    found = fork.Queue()
    with quill.job_runs.start("job", "w", lease=timedelta(minutes=1)) as run:
        children = [
            fork.Process(target=_read_and_write, args=(quill, run, number, found))
            for number in range(4)
        ]
        for child in children:
            child.start()
        assert [found.get(timeout=30) for _ in children] == [True] * 4
        for child in children:
            child.join()
