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

    Lists go from ``since`` (inclusive) to ``until`` (exclusive), aware times, either of which may
    be left out; ``newest_first`` reverses them.
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
        """Start a job for one window of work, as the only one. Use the `Run` in a ``with`` block.

        A new attempt goes on from the checkpoint of the one before it; after a success it begins
        with an empty one. One request where the window is new; two where it ran before.

        Args:
            job_name: the job.
            window: the ETL's own name for the slice of work, such as ``2026-11-22T10``; a fresh
                unique one where none is given.
            lease: how long a holder that gives no sign of life keeps the window.
            force: run it again, from the beginning, although it has succeeded.

        Raises:
            AlreadyRunning: another holder's lease has not ended.
            AlreadySucceeded: the window is done, and ``force`` was not given.
            InvalidValue: a lease of nothing, or a name too long for a key.
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
        """End a running run from outside: whatever its holder writes from now on is refused.

        The holder is not stopped; it hears `LeaseLost` at its next write or renewal. Afterwards
        the window can be started again. Two requests.

        Returns:
            The run as it is now, ``cancelled`` or as it ended before; ``None`` where there is
            none.
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
        """J1: the latest attempt at a window, or ``None``. One strongly consistent request."""
        return self._read(key_schema.job_run(job_name, window))

    def list_by_job(self, job_name: str) -> Query[JobRun]:
        """J2: a job's runs, newest first. One request a page."""
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
        """J4: the runs of every job in a status by start. One request for each shard.

        Raises:
            InvalidValue: a naive time, or there is no such status.
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
        """Every attempt at a window, the first one first; the last is the run itself.

        An attempt whose lease ended without a word is ``failed``, with the error ``LeaseEnded``.
        One strongly consistent request a page.
        """
        partition, between = key_schema.attempts_of(job_name, window)
        # By key, the run itself stands before the attempts that were kept.
        found = Query(self._table, Attempt, [partition], between=between)
        return sorted(found, key=lambda run: run.attempt)

    @operation
    def last_success(self, job_name: str) -> JobRun | None:
        """J3: a job's latest success, also while its window runs again.

        One request, for one item.
        """
        partition = key_schema.job_runs_succeeded(job_name)
        return Query(self._table, Attempt, [partition], index="gsi2", newest_first=True).first()

    def stale(self) -> Query[JobRun]:
        """J5: running runs whose lease has ended, the longest ended first. One request a page."""
        return self._list(
            "stale",
            key_schema.job_runs_leased(),
            index="gsi2",
            between=key_schema.runs_until(self._table.clock()),
            moving_end=True,
        )

    def watermark(self, job_name: str, source: str) -> Watermark:
        """J6: how far a job has come in a source. No request."""
        return Watermark(self._table, job_name, source)
