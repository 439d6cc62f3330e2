"""A run of a job for one window of work."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from operator import itemgetter

from quill_models.models import key_schema
from quill_models.models.attributes import (
    Choice,
    Document,
    FilledDocument,
    FilledInstant,
    Instant,
    OptionalDocument,
    OptionalInstant,
    Text,
    Whole,
    empty,
    field,
)
from quill_models.models.base import QuillModel
from quill_models.settings import Settings
from quill_models.values.keys import Key

__all__ = ["JobRun", "JobStatus"]


class JobStatus(StrEnum):
    """The status of a job run."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobRun(QuillModel):
    """The state of one job for one window.

    Attributes:
        job_name: Name of the job, a part of the identity.
        window: Name of the slice of work, a part of the identity.
        run_id: Id of the current attempt.
        status: ``running``, ``succeeded``, ``failed`` or ``cancelled``.
        attempt: Number of the attempt, from 1.
        owner: Host and process of the current attempt.
        fencing_token: A number that grows with each attempt. Writes with an old one fail.
        started_at: Start of the current attempt.
        heartbeat_at: Last write of the attempt.
        lease_expires_at: When another process can take over.
        finished_at: End of the attempt.
        checkpoint: The saved checkpoint, any JSON.
        stats: The counts of the job, any JSON.
        error: ``type``, ``message`` and ``traceback`` of a failed attempt.
    """

    KIND = "job_run"
    IDENTITY = ("job_name", "window")
    SHOWN = ("status", "attempt", "started_at")

    job_name: Text = field(Text())
    window: Text = field(Text())
    run_id: Text = field(Text())
    status: Choice[JobStatus] = field(Choice(JobStatus), default=JobStatus.RUNNING)
    attempt: Whole = field(Whole(), default=1)
    owner: Text = field(Text())
    fencing_token: Whole = field(Whole(), default=1)
    started_at: Instant = field(Instant(), partition=True)
    heartbeat_at: FilledInstant = field(Instant(), default_factory=itemgetter("started_at"))
    lease_expires_at: Instant = field(Instant())
    finished_at: OptionalInstant = field(Instant(), default=None)
    checkpoint: FilledDocument = field(Document(), default_factory=empty)
    stats: FilledDocument = field(Document(), default_factory=empty)
    error: OptionalDocument = field(Document(), default=None)

    def key(self) -> Key:
        """See `QuillModel.key`."""
        return key_schema.job_run(self.job_name, self.window)

    def expires(self, settings: Settings, now: datetime) -> datetime | None:
        """Return the expiry: from the last write, or for a running run from its lease expiry."""
        if settings.job_retention is None:
            return None
        # A running run must not expire before its lease.
        ends = self.lease_expires_at if self.status is JobStatus.RUNNING else now
        return max(now, ends) + settings.job_retention

    def lists(self, shards: int) -> dict[str, tuple[str, str]]:
        """See `QuillModel.lists`."""
        order = key_schema.run_order(self.started_at, self.job_name, self.window)
        status = key_schema.job_runs_of_status(self.status, key_schema.shard(self.key(), shards))
        lists = {
            "gsi1": (key_schema.job_runs_of_job(self.job_name), order),
            "gsi3": (status, order),
        }
        if self.status is JobStatus.RUNNING:
            lists["gsi2"] = (
                key_schema.job_runs_leased(),
                key_schema.run_order(self.lease_expires_at, self.job_name, self.window),
            )
        elif self.status is JobStatus.SUCCEEDED and self.finished_at is not None:
            lists["gsi2"] = (
                key_schema.job_runs_succeeded(self.job_name),
                key_schema.run_order(self.finished_at, self.job_name, self.window),
            )
        return lists
