"""Attempts at a window of a job: starting one, and keeping earlier ones."""

from __future__ import annotations

import os
import secrets
import shlex
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from quill_models.dynamodb.items import Condition, RawItem, new_token, raw_key
from quill_models.dynamodb.table import Table
from quill_models.models import INDEX_KEYS, JobRun, JobStatus, key_schema
from quill_models.models.base import name_of
from quill_models.repositories.rewrite import Rewrite
from quill_models.values.errors import LeaseLost, QuillError
from quill_models.writes.actions import Put, Refusal
from quill_models.writes.write import Write

__all__ = ["AlreadyRunning", "AlreadySucceeded", "Attempt", "Cancel", "Start"]

_KIND = "job_attempt"


class Attempt(JobRun):
    """A run as a model, from the item of the run or of an earlier attempt."""

    @classmethod
    def from_item(cls, item: RawItem) -> Self:
        """See `QuillModel.from_item`."""
        return JobRun.from_item({**item, "kind": {"S": JobRun.KIND}})  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


class Start(Write[JobRun]):
    """Begin an attempt, if no other process leases the window.

    Attributes:
        after: The attempt before it, if any.
    """

    def __init__(
        self, table: Table, job_name: str, window: str, lease: timedelta, *, force: bool
    ) -> None:
        self.token = new_token()
        self._table = table
        self._job_name = job_name
        self._window = window
        self._lease = lease
        self._force = force
        # Raises now if the key of the kept attempt will be too long.
        key_schema.job_attempt(job_name, window, 1)
        self._begin(None)

    def done(self, stored: RawItem | None = None) -> JobRun:  # noqa: ARG002
        """See `Write.done`."""
        return self._run

    def refused(self, refusals: Sequence[Refusal | None]) -> JobRun | None:
        """See `Write.refused`.

        Raises:
            AlreadyRunning, AlreadySucceeded: The window cannot start.
        """
        item = refusals[0].item if refusals[0] is not None else None
        existing = None if item is None else JobRun.from_item(item)
        if existing is not None:
            self._refuse(existing)
        self._begin(existing)
        return None

    def _begin(self, after: JobRun | None) -> None:
        self.after = after
        now = self._table.clock()
        run = self._run = JobRun(
            job_name=self._job_name,
            window=self._window,
            run_id=secrets.token_hex(8),
            owner=f"{socket.gethostname()}:{os.getpid()}",
            started_at=now,
            lease_expires_at=now + self._lease,
            attempt=after.attempt + 1 if after else 1,
            fencing_token=_fencing_token(now, after),
            # The checkpoint of a success is the end of the work.
            checkpoint=after.checkpoint
            if after and after.status is not JobStatus.SUCCEEDED
            else {},
        )
        if after is not None:
            run.unknown = after.unknown
            run.created_token = after.created_token or after.write_token
        run.stamp(self._table, after.created_at if after else None, token=self.token)
        item = run.to_item(self._table.shards)
        if after is None:
            self.actions = [Put(item, Condition.absent(now))]
        else:
            self.actions = [
                Put(item, Condition.unchanged_since(after.write_token)),
                Put(_kept(self._table, after), Condition.none()),
            ]

    def _refuse(self, existing: JobRun) -> None:
        which = f"Job {existing.job_name}, window {existing.window},"
        if existing.status is JobStatus.RUNNING and existing.lease_expires_at > self._table.clock():
            raise AlreadyRunning(
                f"{which} is running: attempt {existing.attempt} of {existing.owner}. Its lease "
                f"expires at {_shown(existing.lease_expires_at)} unless renewed. Wait until it "
                "has finished. If its process is dead, wait until the lease expires, or free the "
                f"window at once: {_cancelling(existing)}",
                run=existing,
            )
        if existing.status is JobStatus.SUCCEEDED and not self._force:
            raise AlreadySucceeded(
                f"{which} already succeeded at {_shown(existing.finished_at)}. "
                "Pass force=True to run it again.",
                run=existing,
            )


def _cancelling(run: JobRun) -> str:
    """Return the command that cancels a run."""
    names = (run.job_name, run.window)
    dashes = ["--"] if any(name.startswith("-") for name in names) else []
    return shlex.join(["quill", "jobs", "cancel", *dashes, *names])


def _shown(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant:%Y-%m-%d %H:%M:%S} UTC"


class Cancel(Rewrite[JobRun]):
    """Cancel a run of another process."""

    def change(self, model: JobRun) -> None:
        """See `Rewrite.change`."""
        model.status = JobStatus.CANCELLED
        model.finished_at = self._table.clock()

    def met(self, item: RawItem | None) -> JobRun | None:
        """See `Rewrite.met`."""
        if item is None:
            raise LeaseLost(f"{name_of(self.model)} was deleted. There is nothing to cancel.")
        found = JobRun.from_item(item)
        if found.status is not JobStatus.RUNNING:
            return found
        self._follow(found)
        return None


def _fencing_token(now: datetime, after: JobRun | None) -> int:
    # From the clock, so that it also exceeds the tokens of expired runs. At least one more than the
    # token before it, whatever the clock shows.
    milliseconds = int(now.timestamp() * 1000)
    return max(milliseconds, after.fencing_token + 1 if after else 0)


def _kept(table: Table, run: JobRun) -> RawItem:
    """Return the item that keeps an attempt after the next one has begun."""
    kept = run.copy()
    if run.status is JobStatus.RUNNING:
        kept.status = JobStatus.FAILED
        kept.finished_at = run.lease_expires_at
        kept.error = {
            "type": "LeaseEnded",
            "message": f"no renewal since {run.heartbeat_at.isoformat()}",
            "traceback": "",
        }
    if kept.ttl is not None and table.settings.job_retention is not None:
        # Expire no later than the run itself. Otherwise a lease of a year would keep an attempt
        # longer than its run.
        kept.ttl = min(kept.ttl, table.clock() + table.settings.job_retention)
    item = kept.to_item(table.shards)
    # A kept attempt is in no list, except for that of successes.
    listed = {"gsi2pk", "gsi2sk"} if kept.status is JobStatus.SUCCEEDED else set()
    return {
        **{name: value for name, value in item.items() if name not in INDEX_KEYS - listed},
        **raw_key(key_schema.job_attempt(run.job_name, run.window, run.attempt)),
        "kind": {"S": _KIND},
    }


class AlreadyRunning(QuillError):
    """Another process leases this window of the job.

    Attributes:
        run: The running `JobRun`.
    """

    __module__ = "quill_models.errors"

    def __init__(self, message: str, *, run: JobRun) -> None:
        self.run = run
        super().__init__(message)


class AlreadySucceeded(QuillError):
    """The job has already succeeded for this window.

    Attributes:
        run: The `JobRun` that succeeded.
    """

    __module__ = "quill_models.errors"

    def __init__(self, message: str, *, run: JobRun) -> None:
        self.run = run
        super().__init__(message)
