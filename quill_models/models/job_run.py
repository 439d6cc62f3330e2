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
    """Where a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobRun(QuillModel):
    """The state of one job for one window.

    Attributes:
        job_name: the identity, together with ``window``.
        window: the slice of work, in the ETL's own words.
        run_id: of the present attempt.
        status: ``running``, ``succeeded``, ``failed`` or ``cancelled``.
        attempt: counted from 1.
        owner: the host and process of the present attempt.
        fencing_token: grows with each attempt; a holder with a smaller one can write nothing.
        started_at: when the present attempt began.
        heartbeat_at: when it last wrote.
        lease_expires_at: from when on another may take over.
        finished_at: when it ended.
        checkpoint: what the job saved to go on from, any JSON.
        stats: what the job counted, any JSON.
        error: of a failed attempt: ``type``, ``message``, ``traceback``.
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
        """Counted from its last write; while it runs, from the end of its lease."""
        if settings.job_retention is None:
            return None
        # So that no live run ever expires.
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
