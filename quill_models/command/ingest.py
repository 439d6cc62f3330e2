"""`quill ingest`: record the deliveries of a source."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import click

from quill_models import hubspot as hubspot_source
from quill_models.command.failures import report
from quill_models.command.files import files_argument, process_files, reading
from quill_models.command.group import CommandGroup
from quill_models.command.output import json_option, table
from quill_models.models import WebhookEvent
from quill_models.quill import Quill
from quill_models.writes.results import Outcome, PartialWriteError, WriteResult

__all__ = ["Ingested", "ingest", "ingest_file"]

# Renewed in the background. Short, so that the run of a dead process is soon stale.
_LEASE = timedelta(minutes=2)
_COUNTS = ("events", "created", "duplicate", "conflict")
_CONFLICTS_KEPT = 100
_CONFLICTS_SHOWN = 10


@click.group(cls=CommandGroup)
def ingest() -> None:
    """Record the deliveries of a source. Safe to repeat."""


@ingest.command()
@files_argument("FILE...")
@json_option
def hubspot(*, files: tuple[str, ...]) -> None:
    """Record HubSpot webhook deliveries.

    \b
    FILE holds a JSON array, as in one request, or JSON Lines with one array or event per
    line. You can give several files; - is standard input.

    If a file is invalid, the command records the events before the error, reports the file
    and the position, reads the other files, and exits with 1. If an event is stored with
    other content, it is a conflict, and the stored event is kept.

    \b
    Examples:
      quill ingest hubspot delivery.json
      quill ingest hubspot --json monday.jsonl tuesday.jsonl
      cat *.jsonl | quill ingest hubspot -
    """  # noqa: D301 -- click's mark for "keep these lines"
    done, errors = process_files(files, ingest_file)
    rows: list[dict[str, Any]] = [
        {"file": file, **ingested.counts, "job_run": ingested.job_run} for file, ingested in done
    ]
    total = {name: sum(row[name] for row in rows) for name in _COUNTS}
    conflicts = [key for _, ingested in done for key in ingested.conflicts]
    document = {"files": rows, "total": total, **({"conflicts": conflicts} if conflicts else {})}
    shown, text = conflicts[:_CONFLICTS_SHOWN], "is stored with other content, which is kept"
    notes = [f"conflict: event hubspot/{key} {text}" for key in shown]
    if len(rows) > 1:
        rows = [*rows, {"file": "total", **total, "job_run": ""}]
    output = [table(("file", *_COUNTS, "job_run"), rows)] if rows else []
    report(document, *output, notes=notes, errors=errors)


@dataclass
class Ingested:
    """The outcomes of the events of one file. ``job_run`` is the window of its job run."""

    job_run: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    conflicts: list[str] = field(default_factory=list)

    def count(self, result: WriteResult[WebhookEvent]) -> None:
        """Count one result."""
        self.counts["events"] += 1
        self.counts[result.outcome] += 1
        if result.outcome is Outcome.CONFLICT and len(self.conflicts) < _CONFLICTS_KEPT:
            self.conflicts.append(result.item.event_key)


def ingest_file(quill: Quill, file: str) -> Ingested:
    """Record the events of one file in a job run, and store the counts in its stats."""
    with (
        reading(file, "events", kept="recorded") as (lines, report_done),
        quill.job_runs.start("ingest-hubspot", lease=_LEASE) as run,
    ):
        ingested = Ingested(run.window)
        run.stats["file"] = file
        try:
            for result in quill.webhook_events.iter_record_many(hubspot_source.read(lines)):
                ingested.count(result)
                report_done(ingested.counts["events"])
        except PartialWriteError as error:
            for result in error.results:
                ingested.count(result)
            raise
        finally:
            run.stats.update(ingested.counts)
    return ingested
