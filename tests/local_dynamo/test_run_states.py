"""Runs of two windows in the hands of many holders, step by step against a model of them.

Two clients with clocks of their own, which may be hours apart, start, renew, save, finish, fail and
cancel in any order; answers and requests get lost. After each step only the holder that the model
knows can write, and the table says what the model says.
"""

import copy
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from quill_models import AlreadyRunning, AlreadySucceeded, JobRun, JobStatus, LeaseLost, Quill
from quill_models.errors import AnswerLost
from quill_models.repositories.run import Run
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.support import HOUR, MINUTE, NOON, SECOND, botocore_of
from tests.local_dynamo.two_clients import Clients, run_machine, two_clients

pytestmark = pytest.mark.soak

quill = tables.emptied

WINDOWS = ("a", "b")
# Real seconds of the background renewal, which begins with the block: it never gets to a third.
LEASES = (5 * MINUTE, HOUR)
WRITES = {"put_item", "transact_write_items"}

clients = st.integers(0, 1)
windows = st.sampled_from(WINDOWS)
# Counted from the one that was started last.
holders = st.integers(0, 7)
# What becomes of a request that writes.
fates = st.sampled_from(["answered", "answered", "answered", "answer lost", "request lost"])


class BrokenError(Exception):
    pass


@dataclass
class Attempt:
    """What the model knows of one attempt at a window."""

    window: str
    number: int
    clock: FrozenClock
    lease: timedelta
    started_at: datetime
    checkpoint: dict[str, Any]
    # None where the answer was lost: nobody holds it.
    run: Run | None = None
    run_id: str = ""
    fencing_token: int = 0
    status: str = "running"
    heartbeat_at: datetime = NOON
    lease_expires_at: datetime = NOON
    finished_at: datetime | None = None
    stats: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def renew(self) -> None:
        self.heartbeat_at = self.clock()
        self.lease_expires_at = self.clock() + self.lease

    def end(self, status: str, now: datetime, error: str | None = None) -> None:
        self.status, self.finished_at, self.error = status, now, error

    def told(self) -> dict[str, Any]:
        """As it shall be told, where it is the latest attempt or an earlier one."""
        return {
            "attempt": self.number,
            "run_id": self.run_id,
            "fencing_token": self.fencing_token,
            "status": self.status,
            "started_at": self.started_at,
            "heartbeat_at": self.heartbeat_at,
            "lease_expires_at": self.lease_expires_at,
            "finished_at": self.finished_at,
            "checkpoint": self.checkpoint,
            "stats": self.stats,
            "error": self.error,
        }


def told(run: JobRun) -> dict[str, Any]:
    fields = (
        "attempt run_id fencing_token started_at heartbeat_at lease_expires_at finished_at "
        "checkpoint stats"
    )
    return {
        **{name: getattr(run, name) for name in fields.split()},
        "status": run.status.value,
        "error": None if run.error is None else run.error["type"],
    }


def items_of(quill: Quill, job: str) -> list[dict[str, Any]]:
    """All that the server has of a job: runs, attempts and watermarks, in its wire format."""
    answer = botocore_of(quill).query(
        TableName=quill.settings.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"JOB#{job}"}},
        ConsistentRead=True,
    )
    found: list[dict[str, Any]] = answer["Items"]
    return found


@contextmanager
def losing(quill: Quill, fate: str) -> Iterator[None]:
    """What writes in the block gets no answer, whether it was done or not."""
    client = quill._table.client
    request = client.request

    def lost(operation: str, **parameters: Any) -> dict[str, Any]:
        if operation not in WRITES:
            return request(operation, **parameters)
        if fate == "answer lost":
            request(operation, **parameters)
        raise AnswerLost(fate)

    if fate == "answered":
        yield
        return
    client.request = lost  # type: ignore[method-assign]
    try:
        with suppress(AnswerLost):
            yield
    finally:
        del client.request


class Runs(RuleBasedStateMachine):
    def __init__(self, connected: Clients) -> None:
        super().__init__()
        self.connected = connected
        for _, clock in connected:
            clock.move_to(NOON)
        # The table is the same for all examples.
        self.job = secrets.token_hex(8)
        self.attempts: dict[str, list[Attempt]] = {window: [] for window in WINDOWS}
        # Those that were started and whose holder knows it, of both windows.
        self.held: list[tuple[Attempt, Quill, Run]] = []
        self.mark: int | None = None
        self.successes: list[Attempt] = []

    # The model.

    def latest(self, window: str) -> Attempt | None:
        return self.attempts[window][-1] if self.attempts[window] else None

    def may_write(self, attempt: Attempt) -> bool:
        return attempt is self.latest(attempt.window) and attempt.status == "running"

    def write(
        self,
        back: int,
        fate: str,
        write: Callable[[Quill, Run], object],
        effect: Callable[[Attempt, Run], object],
    ) -> None:
        """One write of a holder: as the model has it, or refused without a trace."""
        attempt, quill, run = self.held[-1 - back % len(self.held)]
        if not self.may_write(attempt):
            before = items_of(quill, self.job)
            with pytest.raises(LeaseLost):
                write(quill, run)
            assert items_of(quill, self.job) == before
            return
        with losing(quill, fate):
            write(quill, run)
        if fate != "request lost":
            effect(attempt, run)

    # What happens.

    @initialize(client=clients, lease=st.sampled_from(LEASES))
    def first(self, client: int, lease: timedelta) -> None:
        self.start(client, WINDOWS[0], lease, force=False, fate="answered")

    @rule(client=clients, by=st.sampled_from([SECOND, MINUTE, 5 * MINUTE, HOUR]))
    def time_passes(self, client: int, by: timedelta) -> None:
        self.connected[client][1].tick(by)

    @rule(window=windows)
    def lease_ends(self, window: str) -> None:
        """By every clock."""
        latest = self.latest(window)
        if latest is not None:
            for _, clock in self.connected:
                clock.move_to(max(clock(), latest.lease_expires_at))

    @rule(
        client=clients,
        window=windows,
        lease=st.sampled_from(LEASES),
        force=st.booleans(),
        fate=fates,
    )
    def start(self, client: int, window: str, lease: timedelta, force: bool, fate: str) -> None:
        quill, clock = self.connected[client]
        before = self.latest(window)
        refusal: type[Exception] | None = None
        if before is not None and before.status == "running":
            refusal = AlreadyRunning if before.lease_expires_at > clock() else None
        elif before is not None and before.status == "succeeded" and not force:
            refusal = AlreadySucceeded
        if refusal is not None:
            was = items_of(quill, self.job)
            with pytest.raises(refusal):
                quill.job_runs.start(self.job, window, lease, force=force)
            assert items_of(quill, self.job) == was
            return
        run: Run | None = None
        with losing(quill, fate):
            run = quill.job_runs.start(self.job, window, lease, force=force)
        found = quill.job_runs.get(self.job, window)
        if fate == "request lost":
            assert (found and told(found)) == (before and before.told())
            return
        assert found is not None
        if before is not None and before.status == "running":
            before.end("failed", before.lease_expires_at, "LeaseEnded")
        attempt = Attempt(
            window=window,
            number=1 if before is None else before.number + 1,
            clock=clock,
            lease=lease,
            started_at=clock(),
            checkpoint=before.checkpoint if before and before.status != "succeeded" else {},
            run=run,
            run_id=found.run_id,
            fencing_token=found.fencing_token,
        )
        attempt.renew()
        self.attempts[window].append(attempt)
        # `losing` may have kept the start from giving one.
        if run is not None:  # pyright: ignore[reportUnnecessaryComparison]
            assert run.checkpoint == attempt.checkpoint
            assert (run.attempt, run.run_id) == (attempt.number, found.run_id)
            assert run.fencing_token == found.fencing_token
            self.held.append((attempt, quill, run))

    @precondition(lambda self: self.held)
    @rule(back=holders, fate=fates)
    def renew(self, back: int, fate: str) -> None:
        self.write(back, fate, lambda _, run: run.renew(), lambda attempt, _: attempt.renew())

    @precondition(lambda self: self.held)
    @rule(back=holders, fate=fates, page=st.integers(0, 9))
    def save(self, back: int, fate: str, page: int) -> None:
        def write(quill: Quill, run: Run) -> None:
            run.stats["saved"] = page
            run.save_checkpoint({"page": page, "by": run.attempt})

        def effect(attempt: Attempt, run: Run) -> None:
            attempt.renew()
            attempt.checkpoint = {"page": page, "by": attempt.number}
            attempt.stats = {"saved": page}

        self.write(back, fate, write, effect)

    @precondition(lambda self: self.held)
    @rule(back=holders, fate=fates, to=st.integers(1, 9))
    def advance(self, back: int, fate: str, to: int) -> None:
        def write(quill: Quill, run: Run) -> None:
            moved = quill.job_runs.watermark(self.job, "crm").advance(to, run=run)
            assert moved is (self.mark is None or to > self.mark)

        def effect(attempt: Attempt, run: Run) -> None:
            self.mark = to if self.mark is None else max(self.mark, to)

        self.write(back, fate, write, effect)

    @precondition(lambda self: self.held)
    @rule(back=holders, fate=fates)
    def succeed(self, back: int, fate: str) -> None:
        def write(quill: Quill, run: Run) -> None:
            with run:
                pass

        def effect(attempt: Attempt, run: Run) -> None:
            self.end(attempt, run, fate, "succeeded")
            self.successes.append(attempt)

        self.write(back, fate, write, effect)

    @precondition(lambda self: self.held)
    @rule(back=holders, fate=fates)
    def fail(self, back: int, fate: str) -> None:
        def write(quill: Quill, run: Run) -> None:
            with pytest.raises(BrokenError) as raised, run:
                raise BrokenError
            # The job's own error is raised on; what became of the write is a note to it.
            for note in getattr(raised.value, "__notes__", []):
                raise AnswerLost(note) if note.endswith(fate) else LeaseLost(note)

        def effect(attempt: Attempt, run: Run) -> None:
            self.end(attempt, run, fate, "failed", "BrokenError")

        self.write(back, fate, write, effect)

    def end(
        self, attempt: Attempt, run: Run, fate: str, status: str, error: str | None = None
    ) -> None:
        attempt.stats = dict(run.stats)
        attempt.heartbeat_at = attempt.clock()
        attempt.end(status, attempt.clock(), error)
        if fate == "answer lost":
            # What such a run can write afterwards has a test of its own.
            self.held = [each for each in self.held if each[0] is not attempt]

    @rule(client=clients, window=windows, fate=fates)
    def cancel(self, client: int, window: str, fate: str) -> None:
        quill, clock = self.connected[client]
        latest = self.latest(window)
        found: JobRun | None = None
        with losing(quill, fate):
            found = quill.job_runs.cancel(self.job, window)
        if latest is None:
            assert found is None
            return
        if latest.status == "running" and fate != "request lost":
            latest.end("cancelled", clock())
        if found is not None:
            assert told(found) == latest.told()

    # What always holds.

    @invariant()
    def nobody_else_can_write(self) -> None:
        """Each who is not the holder tries, with a copy, so that it has not heard of it next time.

        The holder tries what changes nothing, to show that it could.
        """
        quill, _ = self.connected[0]
        before = items_of(quill, self.job)
        for attempt, its_quill, run in self.held:
            mark = its_quill.job_runs.watermark(self.job, "crm")
            if self.may_write(attempt):
                assert self.mark is None or mark.advance(0, run=run) is False
                continue
            with pytest.raises(LeaseLost):
                copy.copy(run).save_checkpoint({"late": True})
            with pytest.raises(LeaseLost):
                mark.advance(1000, run=run)
        assert items_of(quill, self.job) == before

    @invariant()
    def each_attempt_is_told(self) -> None:
        quill, _ = self.connected[0]
        for window, attempts in self.attempts.items():
            if attempts:
                found = quill.job_runs.attempts(self.job, window)
                assert [told(each) for each in found] == [each.told() for each in attempts]
                tokens = [attempt.fencing_token for attempt in attempts]
                assert all(one < other for one, other in pairwise(tokens))

    @invariant()
    def lists_say_the_same(self) -> None:
        quill, clock = self.connected[1]
        latest = [attempts[-1] for attempts in self.attempts.values() if attempts]
        listed = [told(each) for each in quill.job_runs.list_by_job(self.job)]
        assert sorted(listed, key=str) == sorted((each.told() for each in latest), key=str)
        stale = {each.window for each in quill.job_runs.stale() if each.job_name == self.job}
        assert stale == {
            each.window
            for each in latest
            if each.status == "running" and each.lease_expires_at <= clock()
        }

    @invariant()
    def the_last_success_is_the_newest(self) -> None:
        quill, _ = self.connected[0]
        found = quill.job_runs.last_success(self.job)
        newest = max(
            (each.finished_at for each in self.successes if each.finished_at), default=None
        )
        # Several may have ended at the same moment.
        among = [each.told() for each in self.successes if each.finished_at == newest]
        assert (told(found) in among) if found is not None else not among

    @invariant()
    def the_watermark_is_where_it_was_moved_to(self) -> None:
        quill, _ = self.connected[0]
        assert quill.job_runs.watermark(self.job, "crm").value == self.mark


@pytest.fixture
def connected(quill: Quill) -> Iterator[Clients]:
    with two_clients(quill.settings) as both:
        yield both


def test_runs(connected: Clients, soak: bool) -> None:
    class Connected(Runs):
        def __init__(self) -> None:
            super().__init__(connected)

    run_machine(Connected, soak=soak)


def test_an_end_whose_answer_was_lost_is_an_end(quill: Quill) -> None:
    run = quill.job_runs.start("job", "w")
    with losing(quill, "answer lost"), run:
        pass
    ended = quill.job_runs.get("job", "w")
    assert ended is not None
    assert ended.status is JobStatus.SUCCEEDED
    with pytest.raises(LeaseLost):
        run.renew()
    assert quill.job_runs.get("job", "w") == ended
