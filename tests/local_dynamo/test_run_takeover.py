"""Lease holders that are suspended or killed: late writes must change nothing."""

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
# Higher than any page of the lease holder.
FAR = 1_000_000
WITHIN = 60.0


@dataclass(frozen=True)
class Plan:
    """The random work of the lease holder, and when it is interrupted."""

    pages: int = field(default_factory=lambda: random.choice([1, 3, 10]))  # noqa: S311
    # Seconds of work per page.
    page_seconds: float = field(default_factory=lambda: random.choice([0, 0.01, 0.1]))  # noqa: S311
    # Seconds from the start of the run to the interruption.
    interrupt_after: float = field(
        default_factory=lambda: random.choice([0.02, 0.1, 1]) * random.random()  # noqa: S311
    )
    # Whether the holder continues before the successor finishes.
    overlaps: bool = field(default_factory=lambda: random.random() < 0.5)  # noqa: S311


def work_as_holder(settings: Settings, job: str, plan: Plan, outcomes: Connection) -> None:
    """Run the lease holder in its own process and send the outcome of each write.

    After the pages, or once the lease is lost, it tries each kind of write again.
    """

    def attempt(what: str, write: Callable[[], object]) -> bool:
        try:
            write()
        except LeaseLost:
            outcomes.send((what, "lost"))
            return False
        outcomes.send((what, "done"))
        return True

    with connect(settings) as quill:
        watermark = quill.job_runs.watermark(job, "crm")
        # Connects before the lease begins.
        quill.job_runs.get(job, WINDOW)
        run = quill.job_runs.start(job, WINDOW, SECOND)
        outcomes.send(("start", "done"))

        def work() -> None:
            with run:
                for page in range(1, plan.pages + 1):
                    run.stats["pages"] = page
                    saved = attempt("save", partial(run.save_checkpoint, {"page": page}))
                    if not (
                        saved and attempt("advance", partial(watermark.advance, page, run=run))
                    ):
                        break
                    time.sleep(plan.page_seconds)

        attempt("leave", work)
        attempt("save", partial(run.save_checkpoint, {"page": FAR}))
        attempt("renew", run.renew)
        attempt("advance", partial(watermark.advance, FAR, run=run))
        attempt("leave", partial(leave, run))
    outcomes.send(("end", "done"))
    # The process must still exist when the signal comes. The test kills it.
    time.sleep(WITHIN)


def leave(run: Run) -> None:
    with run:
        pass


class Holder:
    """The process of a lease holder, and the outcomes that it sent."""

    def __init__(self, settings: Settings, job: str, plan: Plan) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["freezegun", "pytest", "quill_models"])
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=work_as_holder, args=(settings, job, plan, sender))
        self._process.start()
        # Then the pipe ends when the process does.
        sender.close()
        self.outcomes: list[tuple[str, str]] = []

    def receive(self, until: str) -> None:
        """Receive outcomes up to the one of ``until``, or until the process ends."""
        while (until, "done") not in self.outcomes:
            assert self._receiver.poll(WITHIN), f"received only {self.outcomes}"
            try:
                self.outcomes.append(self._receiver.recv())
            except (EOFError, OSError):
                # The process was killed, maybe while it sent an outcome.
                return

    def signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._receiver.close()

    def count(self, what: str, outcome: str = "done") -> int:
        return self.outcomes.count((what, outcome))


@contextmanager
def running_holder(quill: Quill, job: str, plan: Plan) -> Iterator[Holder]:
    holder = Holder(quill.settings, job, plan)
    try:
        holder.receive("start")
        yield holder
    finally:
        holder.end()


def items_of(quill: Quill, job: str) -> dict[str, dict[str, Any]]:
    """Return the stored items of a job by sort key, in wire format."""
    response = botocore_of(quill).query(
        TableName=quill.settings.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"JOB#{job}"}},
        ConsistentRead=True,
    )
    return {item["sk"]["S"]: item for item in response["Items"]}


def take_over(quill: Quill, job: str) -> Run:
    """Start the window once its lease has expired, also if the holder has just succeeded."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        try:
            return quill.job_runs.start(job, WINDOW, MINUTE, force=True)
        except AlreadyRunning:
            time.sleep(0.05)
    raise AssertionError("the lease did not expire")


def suspend(quill: Quill, job: str) -> None:
    plan = Plan()
    with running_holder(quill, job, plan) as holder:
        time.sleep(plan.interrupt_after)
        holder.signal(signal.SIGSTOP)
        run = take_over(quill, job)
        resume = partial(holder.signal, signal.SIGCONT)
        succeed(quill, run, meanwhile=resume if plan.overlaps else lambda: None)
        after = items_of(quill, job)
        if not plan.overlaps:
            resume()
        holder.receive("end")
        assert items_of(quill, job) == after, (plan, holder.outcomes)
        check(quill, run, holder)
        assert holder.outcomes[-5:-1] == [
            (what, "lost") for what in ("save", "renew", "advance", "leave")
        ]
        first, _ = quill.job_runs.attempts(job, WINDOW)
        # Each write that was stored returned, and no other did.
        pages = first.checkpoint.get("page", 0)
        assert holder.count("save") == pages
        assert holder.count("leave") == (first.status is JobStatus.SUCCEEDED)


def kill(quill: Quill, job: str) -> None:
    plan = Plan()
    with running_holder(quill, job, plan) as holder:
        time.sleep(plan.interrupt_after)
        holder.signal(signal.SIGKILL)
        holder.receive("end")
        run = take_over(quill, job)
        succeed(quill, run, meanwhile=lambda: None)
        check(quill, run, holder)


def succeed(quill: Quill, run: Run, meanwhile: Callable[[], object]) -> None:
    """Finish the window as the successor."""
    watermark = quill.job_runs.watermark(run.job_name, "crm")
    first, _ = quill.job_runs.attempts(run.job_name, WINDOW)
    saved, reached = first.checkpoint.get("page", 0), watermark.value or 0
    # The watermark follows the checkpoint.
    assert saved - 1 <= reached <= saved
    page = run.checkpoint.get("page", 0)
    assert page == first_page_after(first)
    with run:
        run.stats["by"] = "successor"
        run.stats["page"] = page
        run.save_checkpoint({"page": page + 1})
        meanwhile()
        assert watermark.advance(FAR // 2, run=run)
        run.save_checkpoint({"page": page + 2})


def first_page_after(first: JobRun) -> int:
    """Return the checkpoint page of the next attempt: 0 if this attempt succeeded."""
    page: int = first.checkpoint.get("page", 0)
    return 0 if first.status is JobStatus.SUCCEEDED else page


def check(quill: Quill, run: Run, holder: Holder) -> None:
    """Check that the stored window is the work of the successor."""
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
    assert second.checkpoint == {"page": first_page_after(first) + 2}
    assert second.stats == {"by": "successor", "page": first_page_after(first)}
    assert second == quill.job_runs.get(run.job_name, WINDOW)
    assert second == quill.job_runs.last_success(run.job_name)
    assert quill.job_runs.watermark(run.job_name, "crm").value == FAR // 2


@pytest.mark.parametrize("interrupt", [suspend, kill])
def test_takeover_interrupted_holder_changes_nothing(
    quill: Quill, interrupt: Callable[[Quill, str], None], soak: bool
) -> None:
    rounds = 100 if soak else 2
    # Most of a round is waiting until the lease expires.
    with ThreadPoolExecutor(3) as pool:
        rounds_running = [pool.submit(interrupt, quill, f"job{number}") for number in range(rounds)]
        for each in rounds_running:
            each.result()
