"""Random operations on job runs, compared with a model after each step.

Two clients, whose clocks may be hours apart, start, renew, save, succeed, fail and cancel runs of
two windows. Requests and responses are lost. Only the lease holder of the model can write.
"""

import copy
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, pairwise
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
from tests.local_dynamo.lost_responses import (
    DELIVERED,
    LOST_REQUEST,
    LOST_RESPONSE,
    fates,
    losing,
)
from tests.local_dynamo.support import HOUR, MINUTE, NOON, SECOND, botocore_of
from tests.local_dynamo.two_clients import Clients, run_machine, two_clients

pytestmark = pytest.mark.soak

quill = tables.emptied

WINDOWS = ("a", "b")
# Longer than a test, so that the background renewal never runs.
LEASES = (5 * MINUTE, HOUR)

clients = st.integers(0, 1)
windows = st.sampled_from(WINDOWS)
# How many started runs ago, from the newest.
run_ages = st.integers(0, 7)


class BrokenError(Exception):
    pass


@dataclass
class AttemptModel:
    """The model of one attempt of a window."""

    window: str
    number: int
    clock: FrozenClock
    lease: timedelta
    started_at: datetime
    checkpoint: dict[str, Any]
    # None if the response of the start was lost.
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

    def finish(self, status: str, now: datetime, error: str | None = None) -> None:
        self.status, self.finished_at, self.error = status, now, error

    def state(self) -> dict[str, Any]:
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


def state(run: JobRun) -> dict[str, Any]:
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
    """Return the stored runs, attempts and watermarks of a job, in wire format."""
    response = botocore_of(quill).query(
        TableName=quill.settings.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"JOB#{job}"}},
        ConsistentRead=True,
    )
    found: list[dict[str, Any]] = response["Items"]
    return found


class Runs(RuleBasedStateMachine):
    def __init__(self, connected: Clients) -> None:
        super().__init__()
        self.connected = connected
        for _, clock in connected:
            clock.move_to(NOON)
        # All examples share one table.
        self.job = secrets.token_hex(8)
        self.attempts: dict[str, list[AttemptModel]] = {window: [] for window in WINDOWS}
        # The runs of both windows whose start returned.
        self.runs: list[tuple[AttemptModel, Quill, Run]] = []
        self.watermark: int | None = None
        self.successes: list[AttemptModel] = []
        self.steps = count()

    def latest(self, window: str) -> AttemptModel | None:
        return self.attempts[window][-1] if self.attempts[window] else None

    def may_write(self, attempt: AttemptModel) -> bool:
        return attempt is self.latest(attempt.window) and attempt.status == "running"

    def write(
        self,
        age: int,
        fate: str,
        write: Callable[[Quill, Run], object],
        effect: Callable[[AttemptModel, Run], object],
    ) -> None:
        """Write by a run. Without the lease, the write must raise and change nothing."""
        attempt, quill, run = self.runs[-1 - age % len(self.runs)]
        if not self.may_write(attempt):
            before = items_of(quill, self.job)
            with pytest.raises(LeaseLost):
                write(quill, run)
            assert items_of(quill, self.job) == before
            return
        with losing(quill, fate):
            write(quill, run)
        if fate != LOST_REQUEST:
            effect(attempt, run)

    @initialize(client=clients, lease=st.sampled_from(LEASES))
    def first(self, client: int, lease: timedelta) -> None:
        self.start(client, WINDOWS[0], lease, force=False, fate=DELIVERED)

    @rule(client=clients, by=st.sampled_from([SECOND, MINUTE, 5 * MINUTE, HOUR]))
    def advance_clock(self, client: int, by: timedelta) -> None:
        self.connected[client][1].tick(by)

    @rule(window=windows)
    def expire_lease(self, window: str) -> None:
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
        expected_error: type[Exception] | None = None
        if before is not None and before.status == "running":
            expected_error = AlreadyRunning if before.lease_expires_at > clock() else None
        elif before is not None and before.status == "succeeded" and not force:
            expected_error = AlreadySucceeded
        if expected_error is not None:
            items_before = items_of(quill, self.job)
            with pytest.raises(expected_error):
                quill.job_runs.start(self.job, window, lease, force=force)
            assert items_of(quill, self.job) == items_before
            return
        run: Run | None = None
        with losing(quill, fate):
            run = quill.job_runs.start(self.job, window, lease, force=force)
        found = quill.job_runs.get(self.job, window)
        if fate == LOST_REQUEST:
            assert (found and state(found)) == (before and before.state())
            return
        assert found is not None
        if before is not None and before.status == "running":
            before.finish("failed", before.lease_expires_at, "LeaseEnded")
        attempt = AttemptModel(
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
        # Pyright does not see that `losing` suppresses an error.
        if run is not None:  # pyright: ignore[reportUnnecessaryComparison]
            assert run.checkpoint == attempt.checkpoint
            assert (run.attempt, run.run_id) == (attempt.number, found.run_id)
            assert run.fencing_token == found.fencing_token
            self.runs.append((attempt, quill, run))

    @precondition(lambda self: self.runs)
    @rule(age=run_ages, fate=fates)
    def renew(self, age: int, fate: str) -> None:
        self.write(age, fate, lambda _, run: run.renew(), lambda attempt, _: attempt.renew())

    @precondition(lambda self: self.runs)
    @rule(age=run_ages, fate=fates, page=st.integers(0, 9))
    def save(self, age: int, fate: str, page: int) -> None:
        def write(quill: Quill, run: Run) -> None:
            run.stats["saved"] = page
            run.save_checkpoint({"page": page, "by": run.attempt})

        def effect(attempt: AttemptModel, run: Run) -> None:
            attempt.renew()
            attempt.checkpoint = {"page": page, "by": attempt.number}
            attempt.stats = {"saved": page}

        self.write(age, fate, write, effect)

    @precondition(lambda self: self.runs)
    @rule(age=run_ages, fate=fates, to=st.integers(1, 9))
    def advance(self, age: int, fate: str, to: int) -> None:
        def write(quill: Quill, run: Run) -> None:
            moved = quill.job_runs.watermark(self.job, "crm").advance(to, run=run)
            assert moved is (self.watermark is None or to > self.watermark)

        def effect(attempt: AttemptModel, run: Run) -> None:
            self.watermark = to if self.watermark is None else max(self.watermark, to)

        self.write(age, fate, write, effect)

    @precondition(lambda self: self.runs)
    @rule(age=run_ages, fate=fates)
    def succeed(self, age: int, fate: str) -> None:
        def write(quill: Quill, run: Run) -> None:
            with run:
                pass

        def effect(attempt: AttemptModel, run: Run) -> None:
            self.finish(attempt, run, fate, "succeeded")
            self.successes.append(attempt)

        self.write(age, fate, write, effect)

    @precondition(lambda self: self.runs)
    @rule(age=run_ages, fate=fates)
    def fail(self, age: int, fate: str) -> None:
        def write(quill: Quill, run: Run) -> None:
            with pytest.raises(BrokenError) as raised, run:
                raise BrokenError
            # The job's own error is raised. A note has the error of the write.
            for note in getattr(raised.value, "__notes__", []):
                raise AnswerLost(note) if note.endswith(fate) else LeaseLost(note)

        def effect(attempt: AttemptModel, run: Run) -> None:
            self.finish(attempt, run, fate, "failed", "BrokenError")

        self.write(age, fate, write, effect)

    def finish(
        self, attempt: AttemptModel, run: Run, fate: str, status: str, error: str | None = None
    ) -> None:
        attempt.stats = dict(run.stats)
        attempt.heartbeat_at = attempt.clock()
        attempt.finish(status, attempt.clock(), error)
        if fate == LOST_RESPONSE:
            # `test_run_write_after_lost_end_raises_lease_lost` covers such a run.
            self.runs = [each for each in self.runs if each[0] is not attempt]

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
        if latest.status == "running" and fate != LOST_REQUEST:
            latest.finish("cancelled", clock())
        if found is not None:
            assert state(found) == latest.state()

    @invariant()
    def only_lease_holder_can_write(self) -> None:
        """Write by each run without a lease, and by the lease holder without a change."""
        step = next(self.steps)
        quill, _ = self.connected[0]
        before = items_of(quill, self.job)
        for attempt, quill_of_run, run in self.runs:
            watermark = quill_of_run.job_runs.watermark(self.job, "crm")
            if self.may_write(attempt):
                assert self.watermark is None or watermark.advance(0, run=run) is False
                continue
            with pytest.raises(LeaseLost):
                if step % 2:
                    # A copy, because a run remembers that its lease is lost.
                    copy.copy(run).save_checkpoint({"late": True})
                else:
                    watermark.advance(1000, run=run)
        assert items_of(quill, self.job) == before

    @invariant()
    def attempts_match(self) -> None:
        quill, _ = self.connected[0]
        for window, attempts in self.attempts.items():
            if attempts:
                found = quill.job_runs.attempts(self.job, window)
                assert [state(each) for each in found] == [each.state() for each in attempts]
                tokens = [attempt.fencing_token for attempt in attempts]
                assert all(one < other for one, other in pairwise(tokens))

    @invariant()
    def lists_match(self) -> None:
        quill, clock = self.connected[1]
        latest = [attempts[-1] for attempts in self.attempts.values() if attempts]
        listed = [state(each) for each in quill.job_runs.list_by_job(self.job)]
        assert sorted(listed, key=str) == sorted((each.state() for each in latest), key=str)
        stale = {each.window for each in quill.job_runs.stale() if each.job_name == self.job}
        assert stale == {
            each.window
            for each in latest
            if each.status == "running" and each.lease_expires_at <= clock()
        }

    @invariant()
    def last_success_is_newest(self) -> None:
        quill, _ = self.connected[0]
        found = quill.job_runs.last_success(self.job)
        newest = max(
            (each.finished_at for each in self.successes if each.finished_at), default=None
        )
        # Several may have finished at the same moment.
        candidates = [each.state() for each in self.successes if each.finished_at == newest]
        assert (state(found) in candidates) if found is not None else not candidates

    @invariant()
    def watermark_matches(self) -> None:
        quill, _ = self.connected[0]
        assert quill.job_runs.watermark(self.job, "crm").value == self.watermark


@pytest.fixture
def connected(quill: Quill) -> Iterator[Clients]:
    with two_clients(quill.settings) as both:
        yield both


def test_job_runs_random_operations_match_model(connected: Clients, soak: bool) -> None:
    class Connected(Runs):
        def __init__(self) -> None:
            super().__init__(connected)

    run_machine(Connected, soak=soak)


def test_run_write_after_lost_end_raises_lease_lost(quill: Quill) -> None:
    run = quill.job_runs.start("job", "w")
    with losing(quill, LOST_RESPONSE), run:
        pass
    ended = quill.job_runs.get("job", "w")
    assert ended is not None
    assert ended.status is JobStatus.SUCCEEDED
    with pytest.raises(LeaseLost):
        run.renew()
    assert quill.job_runs.get("job", "w") == ended
