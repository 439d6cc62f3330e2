"""A holder that is stopped or killed, and a successor: what comes late changes nothing."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import pytest

from quill_models import AlreadyRunning, JobRun, JobStatus, LeaseLost, Quill, Settings, connect
from quill_models.repositories.run import Run
from tests.local_dynamo import tables
from tests.local_dynamo.support import MINUTE, SECOND, botocore_of

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped here"),
]

quill = tables.emptied

WINDOW = "w"
# Farther than the holder comes by itself.
FAR = 1_000_000
WITHIN = 60.0


@dataclass(frozen=True)
class Plan:
    """What the holder does, and when it is interrupted. All at random."""

    pages: int = field(default_factory=lambda: random.choice([1, 3, 10]))  # noqa: S311
    pause: float = field(default_factory=lambda: random.choice([0, 0.01, 0.1]))  # noqa: S311
    # In seconds after it has started.
    after: float = field(
        default_factory=lambda: random.choice([0.02, 0.1, 1]) * random.random()  # noqa: S311
    )
    # Whether the holder goes on before the successor is done.
    overlaps: bool = field(default_factory=lambda: random.random() < 0.5)  # noqa: S311


def hold(settings: Settings, job: str, plan: Plan, told: Connection) -> None:
    """A holder, in a process of its own. It tells what it hears of each write, and never gives up.

    Once the lease is lost, it tries everything again.
    """

    def attempt(what: str, write: Callable[[], object]) -> bool:
        try:
            write()
        except LeaseLost:
            told.send((what, "refused"))
            return False
        told.send((what, "done"))
        return True

    with connect(settings) as quill:
        mark = quill.job_runs.watermark(job, "crm")
        # Before the lease begins: each process makes its connection first.
        quill.job_runs.get(job, WINDOW)
        run = quill.job_runs.start(job, WINDOW, SECOND)
        told.send(("start", "done"))

        def work() -> None:
            with run:
                for page in range(1, plan.pages + 1):
                    run.stats["pages"] = page
                    saved = attempt("save", partial(run.save_checkpoint, {"page": page}))
                    if not (saved and attempt("advance", partial(mark.advance, page, run=run))):
                        break
                    time.sleep(plan.pause)

        attempt("leave", work)
        attempt("save", partial(run.save_checkpoint, {"page": FAR}))
        attempt("renew", run.renew)
        attempt("advance", partial(mark.advance, FAR, run=run))
        attempt("leave", partial(leave, run))
    told.send(("end", "done"))
    # It is still there when the signal comes, however fast it was. The test ends it.
    time.sleep(WITHIN)


def leave(run: Run) -> None:
    with run:
        pass


class Holder:
    """The process of a holder, and what it has told."""

    def __init__(self, settings: Settings, job: str, plan: Plan) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["freezegun", "pytest", "quill_models"])
        self._told, its_end = context.Pipe(duplex=False)
        self._process = context.Process(target=hold, args=(settings, job, plan, its_end))
        self._process.start()
        # So that its death is the end of what it tells.
        its_end.close()
        self.heard: list[tuple[str, str]] = []

    def listen(self, until: str) -> None:
        """Hear it, up to what it tells of ``until``, or to its death."""
        while (until, "done") not in self.heard:
            assert self._told.poll(WITHIN), f"told only {self.heard}"
            try:
                self.heard.append(self._told.recv())
            except (EOFError, OSError):
                # It was killed, maybe in the middle of a word.
                return

    def signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._told.close()

    def count(self, what: str, heard: str = "done") -> int:
        return self.heard.count((what, heard))


@contextmanager
def a_holder(quill: Quill, job: str, plan: Plan) -> Iterator[Holder]:
    holder = Holder(quill.settings, job, plan)
    try:
        holder.listen("start")
        yield holder
    finally:
        holder.end()


def items_of(quill: Quill, job: str) -> dict[str, dict[str, Any]]:
    """All that the server has of a job, by sort key, in its wire format."""
    answer = botocore_of(quill).query(
        TableName=quill.settings.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"JOB#{job}"}},
        ConsistentRead=True,
    )
    return {item["sk"]["S"]: item for item in answer["Items"]}


def take_over(quill: Quill, job: str) -> Run:
    """Start as soon as it is allowed; also what the holder had just done with."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        try:
            return quill.job_runs.start(job, WINDOW, MINUTE, force=True)
        except AlreadyRunning:
            time.sleep(0.05)
    raise AssertionError("nobody could take over")


def stopped(quill: Quill, job: str) -> None:
    plan = Plan()
    with a_holder(quill, job, plan) as holder:
        time.sleep(plan.after)
        holder.signal(signal.SIGSTOP)
        run = take_over(quill, job)
        goes_on = partial(holder.signal, signal.SIGCONT)
        succeed(quill, run, meanwhile=goes_on if plan.overlaps else lambda: None)
        after = items_of(quill, job)
        if not plan.overlaps:
            goes_on()
        holder.listen("end")
        assert items_of(quill, job) == after, (plan, holder.heard)
        check(quill, run, holder)
        # Whatever it tried at the end.
        assert holder.heard[-5:-1] == [
            (what, "refused") for what in ("save", "renew", "advance", "leave")
        ]
        first, _ = quill.job_runs.attempts(job, WINDOW)
        # It was told of each write that was done, and of no other.
        pages = first.checkpoint.get("page", 0)
        assert holder.count("save") == pages
        assert holder.count("leave") == (first.status is JobStatus.SUCCEEDED)


def killed(quill: Quill, job: str) -> None:
    plan = Plan()
    with a_holder(quill, job, plan) as holder:
        time.sleep(plan.after)
        holder.signal(signal.SIGKILL)
        holder.listen("end")
        run = take_over(quill, job)
        succeed(quill, run, meanwhile=lambda: None)
        check(quill, run, holder)


def succeed(quill: Quill, run: Run, meanwhile: Callable[[], object]) -> None:
    """Finish what the holder before left, and say who did."""
    mark = quill.job_runs.watermark(run.job_name, "crm")
    first, _ = quill.job_runs.attempts(run.job_name, WINDOW)
    left, reached = first.checkpoint.get("page", 0), mark.value or 0
    # The mark follows the checkpoint.
    assert left - 1 <= reached <= left
    page = run.checkpoint.get("page", 0)
    assert page == begun_from(first)
    with run:
        run.stats["by"] = "successor"
        run.stats["page"] = page
        run.save_checkpoint({"page": page + 1})
        meanwhile()
        assert mark.advance(FAR // 2, run=run)
        run.save_checkpoint({"page": page + 2})


def begun_from(first: JobRun) -> int:
    """Where the attempt after this one begins: a forced one after a success at the beginning."""
    page: int = first.checkpoint.get("page", 0)
    return 0 if first.status is JobStatus.SUCCEEDED else page


def check(quill: Quill, run: Run, holder: Holder) -> None:
    """The window is as the successor left it, from where the one before it was."""
    first, second = quill.job_runs.attempts(run.job_name, WINDOW)
    page = first.checkpoint.get("page", 0)
    assert holder.count("save") <= page <= holder.count("save") + 1
    assert (first.attempt, first.status) in {(1, JobStatus.FAILED), (1, JobStatus.SUCCEEDED)}
    if first.status is JobStatus.FAILED:
        assert first.error is not None
        assert first.error["type"] == "LeaseEnded"
        assert second.started_at >= first.lease_expires_at
    assert first.fencing_token < second.fencing_token
    assert (second.run_id, second.attempt, second.status) == (run.run_id, 2, JobStatus.SUCCEEDED)
    assert second.checkpoint == {"page": begun_from(first) + 2}
    assert second.stats == {"by": "successor", "page": begun_from(first)}
    assert second == quill.job_runs.get(run.job_name, WINDOW)
    assert second == quill.job_runs.last_success(run.job_name)
    assert quill.job_runs.watermark(run.job_name, "crm").value == FAR // 2


@pytest.mark.parametrize("interrupted", [stopped, killed])
def test_nothing_of_the_successor_is_lost(
    quill: Quill, interrupted: Callable[[Quill, str], None], soak: bool
) -> None:
    rounds = 100 if soak else 3
    # Most of a round is waiting for the lease to end.
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(interrupted, quill, f"job{number}") for number in range(rounds)]
        for each in done:
            each.result()
