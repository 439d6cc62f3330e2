"""Job runs."""

from __future__ import annotations

import secrets
import time
from datetime import datetime, timedelta

from quill_models.models import JobRun, JobStatus, key_schema
from quill_models.reads.query import Query
from quill_models.repositories.job_attempts import Attempt, Cancel, Start
from quill_models.repositories.lease import check_lease
from quill_models.repositories.repository import Repository
from quill_models.repositories.run import Run
from quill_models.repositories.watermark import Watermark
from quill_models.repositories.work_log import log_run_ended, log_run_started
from quill_models.telemetry.operations import operation
from quill_models.values.conversion import choice
from quill_models.writes.driver import send

__all__ = ["JobRuns"]

_LEASE = timedelta(minutes=5)


class JobRuns(Repository[JobRun]):
    """The job runs of the table.

    Lists cover ``since`` (inclusive) to ``until`` (exclusive), aware times, both optional.
    ``newest_first`` reverses the order.
    """

    MODEL = JobRun
    OPERATIONS = "job_runs"

    @operation
    def start(
        self,
        job_name: str,
        window: str | None = None,
        lease: timedelta = _LEASE,
        *,
        force: bool = False,
    ) -> Run:
        """Start a job for one window and lease it. Use the `Run` in a ``with`` block.

        A new attempt continues from the checkpoint of the attempt before it. After a success it
        begins with an empty checkpoint.

        Args:
            job_name: Name of the job.
            window: The ETL's own name for the slice of work, such as ``2026-11-22T10``. Without
                one, a unique window is generated.
            lease: Time without a renewal after which another process can take over.
            force: Run the window again from the beginning, although it has succeeded.

        Raises:
            AlreadyRunning: The lease of another holder has not expired.
            AlreadySucceeded: The window has succeeded, and ``force`` was not given.
            InvalidValue: The lease is not positive, or a name is too long for a key.

        Cost:
            One request if the window is new, two if it ran before.
        """
        check_lease(lease)
        if window is None:
            window = f"{self._table.clock():%Y-%m-%dT%H:%M:%S.%fZ}-{secrets.token_hex(4)}"
        begun = time.monotonic()
        start = Start(self._table, job_name, window, lease, force=force)
        run = send(self._table, start)
        log_run_started(run, start.after)
        return Run(self._table, run, lease, begun)

    @operation
    def cancel(self, job_name: str, window: str) -> JobRun | None:
        """Cancel a running run, so that its window can be started again. Cost: two requests.

        The process of the lease holder is not stopped. Its next write or renewal raises
        `LeaseLost`.

        Returns:
            The run, ``cancelled`` or as it ended before. ``None`` if there is no run.
        """
        run = self.get(job_name, window)
        if run is None or run.status is not JobStatus.RUNNING:
            return run
        cancelled = send(self._table, Cancel(self._table, run))
        if cancelled.status is JobStatus.CANCELLED:
            log_run_ended(cancelled)
        return cancelled

    @operation
    def get(self, job_name: str, window: str) -> JobRun | None:
        """Return the latest attempt at a window, or ``None`` (J1). Cost: one consistent read."""
        return self._read(key_schema.job_run(job_name, window))

    def list_by_job(self, job_name: str) -> Query[JobRun]:
        """List the runs of a job, newest first (J2). Cost: one query a page."""
        partition = key_schema.job_runs_of_job(job_name)
        return self._list("list_by_job", partition, index="gsi1", newest_first=True)

    def list_by_status(
        self,
        status: JobStatus | str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        newest_first: bool = False,
    ) -> Query[JobRun]:
        """List the runs of all jobs in a status by start (J4). Cost: one query for each shard.

        Raises:
            InvalidValue: A time is naive, or the status does not exist.
        """
        status = choice(JobStatus, status, "status")
        whole = since is None and until is None
        return self._list(
            "list_by_status",
            lambda shard: key_schema.job_runs_of_status(status, shard),
            index="gsi3",
            between=None if whole else key_schema.runs_between(since, until),
            newest_first=newest_first,
        )

    @operation
    def attempts(self, job_name: str, window: str) -> list[JobRun]:
        """Return every attempt at a window, oldest first. The last one is the run itself.

        An attempt that was taken over is ``failed``, with the error ``LeaseEnded``.

        Cost:
            One strongly consistent query a page.
        """
        partition, between = key_schema.attempts_of(job_name, window)
        # By key, the run itself comes before its earlier attempts.
        found = Query(self._table, Attempt, [partition], between=between)
        return sorted(found, key=lambda run: run.attempt)

    @operation
    def last_success(self, job_name: str) -> JobRun | None:
        """Return the latest success of a job, also during a rerun (J3). Cost: one query."""
        partition = key_schema.job_runs_succeeded(job_name)
        return Query(self._table, Attempt, [partition], index="gsi2", newest_first=True).first()

    def stale(self) -> Query[JobRun]:
        """List running runs whose lease has expired, oldest first (J5). Cost: one query a page."""
        return self._list(
            "stale",
            key_schema.job_runs_leased(),
            index="gsi2",
            between=key_schema.runs_until(self._table.clock()),
            moving_end=True,
        )

    def watermark(self, job_name: str, source: str) -> Watermark:
        """Return the watermark of a job in a source (J6). Cost: no request."""
        return Watermark(self._table, job_name, source)
