"""A job run in the hands of its holder."""

from __future__ import annotations

import copy
import os
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
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
# How much of a lease is counted on, so that there is time to stop before it ends.
_SURE_SHARE = 0.8


class Run:
    """The holder of a job's window. A context manager.

    Inside the block the lease is renewed in the background. Leaving the block marks the run
    succeeded; an exception marks it failed and is raised on. Each write holds only while nobody
    took over: afterwards every one raises `LeaseLost`.

    Attributes:
        stats: what the job counts, any JSON; stored with each checkpoint and at the end.
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
        """The job."""
        return self._run.job_name

    @property
    def window(self) -> str:
        """The window of work."""
        return self._run.window

    @property
    def run_id(self) -> str:
        """Of this attempt, and no other."""
        return self._run.run_id

    @property
    def attempt(self) -> int:
        """Counted from 1; more where earlier ones failed or were taken over."""
        return self._run.attempt

    @property
    def owner(self) -> str:
        """The host and process of this attempt."""
        return self._run.owner

    @property
    def fencing_token(self) -> int:
        """Grows with each attempt. Give it to whatever else the job writes to."""
        return self._run.fencing_token

    @property
    def is_sure(self) -> bool:
        """Whether nobody else can have taken over, as the lease was renewed and has time left.

        Measured on this machine from before the last renewal was sent, whatever its clock does.
        Ask it, or call `check`, before a step that only one process may do.
        """
        return (
            self._lost is None
            and self._run.status is JobStatus.RUNNING
            and self._keeper.is_sure(self.run_id)
        )

    def check(self) -> None:
        """Raise `LeaseLost` where the lease is lost, or cannot be kept. No request.

        In time: a fifth of the lease is still left when it first raises because renewals fail.
        """
        if self._lost is not None:
            raise self._lost
        if self._run.status is not JobStatus.RUNNING:
            raise self.lost(self._run.to_item(1))
        if not self.is_sure:
            raise LeaseLost(
                f"The lease of {self.job_name!r} for the window {self.window!r} could not be "
                f"renewed and is about to end ({self._trouble or 'no renewal was made'}). Stop, "
                "and start again."
            )

    @property
    def checkpoint(self) -> dict[str, Any]:
        """What was saved last, by this attempt or the one before it."""
        return copy.deepcopy(self._run.checkpoint)

    @operation
    def save_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Save where to go on from, and renew the lease. One request.

        Raises:
            LeaseLost: another holder took over; nothing was written.
        """
        self._write(checkpoint=checkpoint, stats=self.stats)

    def held(self) -> Check:
        """An action that lets a transaction be done only while this run holds its window.

        Raises:
            LeaseLost: this process was forked from the holder.
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
        """The error for one who no longer holds the window; ``found`` is what stands there instead.

        No request.
        """
        which = f"{self.job_name!r} for the window {self.window!r}"
        if found is None:
            return LeaseLost(f"The run of {which} was deleted; nothing was written.")
        holder = JobRun.from_item(found)
        if holder.run_id == self._run.run_id:
            return LeaseLost(
                f"Attempt {self.attempt} of {which} is over ({holder.status.value}). "
                "Nothing was written."
            )
        return LeaseLost(
            f"Attempt {self.attempt} of {which} is no longer the holder: attempt {holder.attempt} "
            f"of {holder.owner} took over ({holder.status.value}). Nothing was written."
        )

    @operation
    def renew(self) -> None:
        """Renew the lease now. One request. The background does so by itself.

        Raises:
            LeaseLost: another holder took over; nothing was written.
        """
        self._write()

    def __enter__(self) -> Self:
        self._keeper.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process != os.getpid():
            # A forked child that leaves the block leaves its parent's run alone.
            return
        self._keeper.stop()
        if error is None:
            self._succeed()
            return
        try:
            self._fail(error)
        except Exception as also:  # noqa: BLE001
            # Whatever it is, the job's own error is the one to raise.
            if also is not error:
                error.add_note(f"The run could not be marked failed: {also}")

    @operation
    def _succeed(self) -> None:
        try:
            self._write(status=JobStatus.SUCCEEDED, stats=self.stats)
        except (InvalidValue, InvalidPayload) as error:
            # Stats that cannot be stored: better a failed run than one that seems to go on.
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
                # An earlier write had ended the run, although no response came.
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
                f"This process was forked from the holder of {self.job_name!r} for the window "
                f"{self.window!r}, which alone may write. Nothing was written."
            )


class _LeaseTaken(QuillError):
    """The stored run is not the holder's any more; `Run` turns this into `LeaseLost`."""

    def __init__(self, found: RawItem | None) -> None:
        self.found = found
        super().__init__("the run is no longer as its holder wrote it")


class _Update(Rewrite[JobRun]):
    """The next state of a run, written by its holder over the last one.

    Attributes:
        sent: When, by the monotonic clock, it was made.
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
