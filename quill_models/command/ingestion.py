"""From a source's events to recorded ones, in a job run that says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from quill_models.models import WebhookEvent
from quill_models.quill import Quill
from quill_models.writes.results import Outcome, PartialWriteError, WriteResult

__all__ = ["Ingested", "ingest"]

# The run is renewed in the background; a process that dies is known to be dead after this long.
_LEASE = timedelta(minutes=2)


@dataclass
class Ingested:
    """What came of one ingestion.

    Attributes:
        events, created, duplicate, conflict: how many; the first is the sum of the others.
        job_run: the window of the job run.
        conflicts: the results that are conflicts, at most a hundred of them.
    """

    job_run: str
    events: int = 0
    created: int = 0
    duplicate: int = 0
    conflict: int = 0
    conflicts: list[WriteResult[WebhookEvent]] = field(default_factory=list)

    def count(self, result: WriteResult[WebhookEvent]) -> None:
        """Count one result."""
        self.events += 1
        if result.outcome is Outcome.CREATED:
            self.created += 1
        elif result.outcome is Outcome.DUPLICATE:
            self.duplicate += 1
        else:
            self.conflict += 1
            if len(self.conflicts) < 100:
                self.conflicts.append(result)

    def counts(self) -> dict[str, int]:
        """The four numbers by name."""
        return {
            "events": self.events,
            "created": self.created,
            "duplicate": self.duplicate,
            "conflict": self.conflict,
        }


def ingest(
    quill: Quill,
    job_name: str,
    events: Iterable[WebhookEvent],
    *,
    file: str | None = None,
    report: Callable[[Ingested], None] | None = None,
) -> Ingested:
    """Record events inside a job run of its own. Repeating it records nothing twice.

    Args:
        quill: where to.
        job_name: of the job run, such as ``ingest-hubspot``.
        events: taken lazily, a hundred at a time.
        file: where they come from, kept in the run's ``stats``.
        report: called after each event with what has been counted so far.

    Returns:
        The counts, which are in the run's ``stats`` too.

    Raises:
        InvalidPayload: from ``events``. All events before it are recorded; the run is failed.
        PartialWriteError: the table stopped answering. Do it again.
    """
    with quill.job_runs.start(job_name, lease=_LEASE) as run:
        ingested = Ingested(job_run=run.window)
        if file is not None:
            run.stats["file"] = file
        try:
            for result in quill.webhook_events.iter_record_many(events):
                ingested.count(result)
                if report is not None:
                    report(ingested)
        except PartialWriteError as error:
            for result in error.results:
                ingested.count(result)
            raise
        finally:
            run.stats.update(ingested.counts())
    return ingested
