"""Job runs."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta

from quill_models import key_schema
from quill_models.attributes import choice
from quill_models.errors import AlreadyRunning, AlreadySucceeded, InvalidValue
from quill_models.models import JobRun, JobStatus
from quill_models.query import Query
from quill_models.repositories.run import Run
from quill_models.repositories.watermark import Watermark
from quill_models.service_errors import ConditionFailed
from quill_models.table import Condition, Table, token_of

__all__ = ["JobRuns"]

_LEASE = timedelta(minutes=5)


class JobRuns:
    """The job runs of the table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def start(
        self,
        job_name: str,
        window: str | None = None,
        lease: timedelta = _LEASE,
        *,
        force: bool = False,
    ) -> Run:
        """Start a job for one window of work, as the only one. Use the `Run` in a ``with`` block.

        One request where the window is new; two where it ran before.

        Args:
            job_name: the job.
            window: the ETL's own name for the slice of work, such as ``2026-11-22T10``; a fresh
                unique one where none is given.
            lease: how long a holder that gives no sign of life keeps the window.
            force: run it again although it has succeeded.

        Raises:
            AlreadyRunning: another holder's lease has not ended.
            AlreadySucceeded: the window is done, and ``force`` was not given.
        """
        if lease <= timedelta(0):
            raise InvalidValue(f"lease must be longer than nothing, not {lease}")
        if window is None:
            window = f"{self._table.clock():%Y-%m-%dT%H:%M:%S.%fZ}-{secrets.token_hex(4)}"
        run = self._new_run(job_name, window, lease)
        item = run.to_item(self._table.shards)
        existing_item = self._table.put_if_absent(item)
        while existing_item is not None:
            existing = JobRun.from_item(existing_item)
            self._refuse(existing, force=force)
            run = self._new_run(job_name, window, lease, after=existing)
            try:
                self._table.put(
                    run.to_item(self._table.shards), Condition.unchanged_since(existing.write_token)
                )
            except ConditionFailed as failure:
                if token_of(failure.item) == run.write_token:
                    break
                existing_item = failure.item or self._table.get(run.key())
                if existing_item is None:
                    existing_item = self._table.put_if_absent(run.to_item(self._table.shards))
            else:
                break
        return Run(self._table, run, lease)

    def get(self, job_name: str, window: str) -> JobRun | None:
        """J1: one strongly consistent request."""
        item = self._table.get(key_schema.job_run(job_name, window))
        return None if item is None else JobRun.from_item(item)

    def list_by_job(self, job_name: str) -> Query[JobRun]:
        """J2: a job's runs, newest first."""
        partition = key_schema.job_runs_of_job(job_name)
        return Query(self._table, JobRun, [partition], index="gsi1", newest_first=True)

    def list_by_status(
        self, status: JobStatus | str, *, newest_first: bool = False
    ) -> Query[JobRun]:
        """J4: the runs of every job in a status by start. One request for each shard."""
        status = choice(JobStatus, status, "status")
        return Query(
            self._table,
            JobRun,
            lambda: [
                key_schema.job_runs_of_status(status, shard) for shard in self._table.shards_to_read
            ],
            index="gsi3",
            newest_first=newest_first,
        )

    def last_success(self, job_name: str) -> JobRun | None:
        """J3: one request that reads one item."""
        partition = key_schema.job_runs_succeeded(job_name)
        return Query(self._table, JobRun, [partition], index="gsi2", newest_first=True).first()

    def stale(self) -> Query[JobRun]:
        """J5: running runs whose lease has ended, the longest ended first."""
        return Query(
            self._table,
            JobRun,
            [key_schema.job_runs_leased()],
            index="gsi2",
            between=key_schema.runs_until(self._table.clock()),
            moving_end=True,
        )

    def watermark(self, job_name: str, source: str) -> Watermark:
        """J6: how far a job has come in a source. No request."""
        return Watermark(self._table, job_name, source)

    def _new_run(
        self, job_name: str, window: str, lease: timedelta, after: JobRun | None = None
    ) -> JobRun:
        now = self._table.clock()
        run = JobRun(
            job_name=job_name,
            window=window,
            run_id=secrets.token_hex(8),
            owner=f"{socket.gethostname()}:{os.getpid()}",
            started_at=now,
            lease_expires_at=now + lease,
            attempt=after.attempt + 1 if after else 1,
            fencing_token=after.fencing_token + 1 if after else 1,
            checkpoint=after.checkpoint if after else {},
        )
        if after is not None:
            run.unknown = after.unknown
            run.created_token = after.created_token or after.write_token
        run.stamp(self._table, after.created_at if after else None)
        return run

    def _refuse(self, existing: JobRun, *, force: bool) -> None:
        which = f"{existing.job_name!r} for the window {existing.window!r}"
        if existing.status is JobStatus.RUNNING and existing.lease_expires_at > self._table.clock():
            raise AlreadyRunning(
                f"The job {which} is running: attempt {existing.attempt} of {existing.owner}, "
                f"whose lease ends at {existing.lease_expires_at.isoformat()} unless renewed.",
                run=existing,
            )
        if existing.status is JobStatus.SUCCEEDED and not force:
            raise AlreadySucceeded(
                f"The job {which} succeeded at {existing.finished_at}. "
                "Give force=True to run it again.",
                run=existing,
            )
