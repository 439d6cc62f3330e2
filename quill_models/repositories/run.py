"""A job run and its lease."""

from __future__ import annotations

import copy
import os
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from quill_models.dynamodb.items import Condition, RawItem, token_of
from quill_models.dynamodb.table import Table
from quill_models.models import JobRun, JobStatus
from quill_models.repositories.lease import LeaseKeeper
from quill_models.repositories.rewrite import Rewrite
from quill_models.repositories.work_log import Line, log_run_ended, log_work
from quill_models.telemetry.operations import operation
from quill_models.values.errors import (
    InvalidPayload,
    InvalidValue,
    LeaseLost,
    QuillError,
    message_of,
)
from quill_models.writes.actions import Check
from quill_models.writes.driver import send

__all__ = ["Run"]

_TRACEBACK_CHARACTERS = 4000
_MESSAGE_CHARACTERS = 1000
# The share of a lease that is relied on, so that there is time to stop before it expires.
_SURE_SHARE = 0.8


class Run:
    """The lease of a job's window, as a context manager.

    Inside the block the lease is renewed in the background. Leaving the block marks the run
    succeeded. An exception marks it failed and is raised again. After another process took over,
    every write raises `LeaseLost`.

    Attributes:
        stats: Counts of the job, any JSON. Stored with each checkpoint and at the end.
    """

    OPERATIONS = "run"

    def __init__(self, table: Table, run: JobRun, lease: timedelta, begun: float) -> None:
        self._table = table
        self._run = run
        self._lease = lease
        # The job and the renewal both write; each builds on the write before it.
        self._lock = threading.Lock()
        self._lost: LeaseLost | None = None
        # Writes that may have been done although no response came, by their token.
        self._unsure: dict[str, JobRun] = {}
        self._process = os.getpid()
        self._trouble: Exception | None = None
        name = f"quill-lease-{run.job_name}"
        self._keeper = LeaseKeeper(name, lease, self._not_renewed, _SURE_SHARE)
        self._keeper.hold(run.run_id, self.renew, begun)
        self.stats: dict[str, Any] = {}

    @property
    def job_name(self) -> str:
        """The name of the job."""
        return self._run.job_name

    @property
    def window(self) -> str:
        """The window of the job."""
        return self._run.window

    @property
    def run_id(self) -> str:
        """The unique id of this attempt."""
        return self._run.run_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1. Failures and takeovers increase it."""
        return self._run.attempt

    @property
    def owner(self) -> str:
        """The host and process of this attempt."""
        return self._run.owner

    @property
    def fencing_token(self) -> int:
        """A number that grows with each attempt. Pass it to other systems the job writes to."""
        return self._run.fencing_token

    @property
    def is_sure(self) -> bool:
        """Whether the lease was renewed in time, so that no other process can have taken over.

        Measured by the monotonic clock from before the last renewal. Read it, or call `check`,
        before a step that only one process may do.
        """
        return (
            self._lost is None
            and self._run.status is JobStatus.RUNNING
            and self._keeper.is_sure(self.run_id)
        )

    def check(self) -> None:
        """Raise `LeaseLost` if the lease is lost, or cannot be kept. Cost: no request.

        If renewals fail, it raises when a fifth of the lease is left.
        """
        if self._lost is not None:
            raise self._lost
        if self._run.status is not JobStatus.RUNNING:
            raise self.lost(self._run.to_item(1))
        if not self.is_sure:
            raise LeaseLost(
                f"The lease of job {self.job_name}, window {self.window}, expires soon and could "
                f"not be renewed ({self._trouble or 'no renewal was made'}). Stop the work and "
                "start the window again."
            )

    @property
    def checkpoint(self) -> dict[str, Any]:
        """The last saved checkpoint, of this attempt or the one before it."""
        return copy.deepcopy(self._run.checkpoint)

    @operation
    def save_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Save a ``checkpoint``, and renew the lease. Cost: one request.

        Raises:
            LeaseLost: Another process took over. Nothing was written.
        """
        self._write(checkpoint=checkpoint, stats=self.stats)

    def held(self) -> Check:
        """Return a condition check for a transaction: this run still leases its window.

        Raises:
            LeaseLost: This process was forked from the lease holder.
        """
        self._refuse_fork()
        return Check(
            self._run.key(),
            Condition(
                "#run = :run AND #status = :running",
                {"#run": "run_id", "#status": "status"},
                {":run": {"S": self._run.run_id}, ":running": {"S": JobStatus.RUNNING.value}},
            ),
        )

    def lost(self, found: RawItem | None) -> LeaseLost:
        """Return the error of a lost lease; ``found`` is the stored item. Cost: no request."""
        which = f"job {self.job_name}, window {self.window},"
        if found is None:
            return LeaseLost(f"The run of {which} was deleted. Nothing was written.")
        holder = JobRun.from_item(found)
        if holder.run_id == self._run.run_id:
            return LeaseLost(
                f"Attempt {self.attempt} of {which} has ended ({holder.status.value}). "
                "Nothing was written."
            )
        return LeaseLost(
            f"Attempt {self.attempt} of {which} lost its lease: attempt {holder.attempt} of "
            f"{holder.owner} took over ({holder.status.value}). Nothing was written."
        )

    @operation
    def renew(self) -> None:
        """Renew the lease now, in addition to the background. Cost: one request.

        Raises:
            LeaseLost: Another process took over. Nothing was written.
        """
        self._write()

    def __enter__(self) -> Self:
        self._keeper.start()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._process != os.getpid():
            # A forked child must not end the run of its parent.
            return
        self._keeper.stop()
        if error is None:
            self._succeed()
            return
        try:
            self._fail(error)
        except Exception as also:  # noqa: BLE001
            # The job's own error is the one to raise.
            if also is not error:
                error.add_note(f"The run could not be marked failed: {also}")

    @operation
    def _succeed(self) -> None:
        try:
            self._write(status=JobStatus.SUCCEEDED, stats=self.stats)
        except (InvalidValue, InvalidPayload) as error:
            # If stats cannot be stored, a failed run is better than one that seems to run.
            self._fail(error)
            raise

    @operation
    def _fail(self, error: BaseException) -> None:
        try:
            self._write(status=JobStatus.FAILED, stats=self.stats, error=_described(error))
        except (InvalidValue, InvalidPayload):
            self._write(status=JobStatus.FAILED, error=_described(error))

    def _write(self, **changes: Any) -> None:
        self._refuse_fork()
        with self._lock:
            if self._lost is not None:
                raise self._lost
            if self._run.status is not JobStatus.RUNNING:
                raise self.lost(self._run.to_item(1))
            write = _Update(self._table, self._run, self._lease, self._unsure, changes)
            try:
                written = send(self._table, write)
            except _LeaseTaken as taken:
                self._lost = self.lost(taken.found)
                log_work(Line.RUN_LOST, self._run)
                raise self._lost from None
            except (InvalidValue, InvalidPayload):
                raise
            except BaseException:
                self._unsure[write.token] = write.model
                raise
            self._run = written
            if written is not write.model:
                # An earlier write, whose response was lost, had ended the run.
                if changes.get("status") is not written.status:
                    raise self.lost(written.to_item(1))
                return
            if written.status is not JobStatus.RUNNING:
                log_run_ended(written)
            self._unsure.clear()
            self._trouble = None
            self._keeper.renewed(self.run_id, write.sent)

    def _not_renewed(self, _key: str, error: Exception) -> None:
        self._trouble = error
        log_work(Line.RUN_NOT_RENEWED, self._run, error=error)

    def _refuse_fork(self) -> None:
        if self._process != os.getpid():
            raise LeaseLost(
                f"This process was forked from the lease holder of job {self.job_name}, window "
                f"{self.window}. Write from the parent. Nothing was written."
            )


class _LeaseTaken(QuillError):
    """The stored run has another holder. `Run` turns this into `LeaseLost`."""

    def __init__(self, found: RawItem | None) -> None:
        self.found = found
        super().__init__("the run has another lease holder")


class _Update(Rewrite[JobRun]):
    """The next state of a run, written by its lease holder.

    Attributes:
        sent: When the write was made, by the monotonic clock.
    """

    def __init__(
        self,
        table: Table,
        last: JobRun,
        lease: timedelta,
        unsure: dict[str, JobRun],
        changes: Mapping[str, Any],
    ) -> None:
        self._lease = lease
        self._unsure = unsure
        self._changes = changes
        super().__init__(table, last)

    def change(self, model: JobRun) -> None:
        now, self.sent = self._table.clock(), time.monotonic()
        model.status = self._changes.get("status", JobStatus.RUNNING)
        model.heartbeat_at = now
        if model.status is JobStatus.RUNNING:
            model.lease_expires_at = now + self._lease
        else:
            model.finished_at = now
        for name, value in self._changes.items():
            setattr(model, name, value)

    def met(self, item: RawItem | None) -> JobRun | None:
        earlier = self._unsure.pop(token_of(item) or "", None)
        if earlier is None:
            raise _LeaseTaken(item)
        if earlier.status is not JobStatus.RUNNING:
            return earlier
        self._follow(earlier)
        return None


def _described(error: BaseException) -> dict[str, str]:
    lines = "".join(traceback.format_exception(error))
    return {
        "type": type(error).__name__,
        "message": message_of(error)[:_MESSAGE_CHARACTERS],
        "traceback": lines[-_TRACEBACK_CHARACTERS:],
    }
