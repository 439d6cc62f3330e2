"""`quill ingest`: deliveries of a source into the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from quill_models import hubspot as hubspot_source
from quill_models.command.failures import fail, interruptible
from quill_models.command.files import files_argument, go_through, opened
from quill_models.command.group import CommandGroup
from quill_models.command.ingestion import Ingested
from quill_models.command.ingestion import ingest as ingest_events
from quill_models.command.output import json_option, print_json, reading, show_table
from quill_models.quill import Quill, connect

__all__ = ["ingest", "ingest_file"]

JOB_NAME = "ingest-hubspot"
_COUNTS = ("events", "created", "duplicate", "conflict")
_CONFLICTS_SHOWN = 10
_TAKEN_UP = "Interrupted. What was recorded stays; run the same command again for the rest."


@click.group(cls=CommandGroup)
def ingest() -> None:
    """Record a source's deliveries. Doing it again changes nothing."""


@ingest.command()
@files_argument("FILE...")
@json_option
def hubspot(*, files: tuple[str, ...], as_json: bool) -> None:
    """Record HubSpot webhook deliveries.

    \b
    FILE holds a JSON array, as in one request, or JSON Lines: an array or an event a
    line. Several files may be given; - is standard input.

    Where a file has an error, the events before it are recorded, the file and the place are
    named, and the other files are still read; the exit status is then 1. An event that is
    stored with other content is a conflict: what is stored stays.

    \b
    Examples:
      quill ingest hubspot delivery.json
      quill ingest hubspot --json monday.jsonl tuesday.jsonl
      cat *.jsonl | quill ingest hubspot -
    """  # noqa: D301 -- click's mark for "keep these lines"
    done: list[dict[str, Any]] = []
    conflicts: list[str] = []
    with connect() as quill:

        def work(file: str) -> None:
            ingested = ingest_file(quill, file)
            done.append({"file": file, **ingested.counts(), "job_run": ingested.job_run})
            conflicts.extend(result.item.event_key for result in ingested.conflicts)

        errors = go_through(files, work)
    total = {name: sum(row[name] for row in done) for name in _COUNTS}
    document: dict[str, Any] = {"files": done, "total": total}
    if conflicts:
        document["conflicts"] = conflicts
    if not as_json:
        _show(done, total, conflicts)
    if errors:
        fail(*errors, as_json=as_json, document=document)
    if as_json:
        print_json(document)


def ingest_file(quill: Quill, file: str) -> Ingested:
    """Record the events of one file, in a job run of its own."""
    with (
        interruptible(_TAKEN_UP),
        opened(file) as stream,
        reading(stream, Path(file).name, "events") as progress,
    ):
        return ingest_events(
            quill,
            JOB_NAME,
            hubspot_source.read(progress.lines(stream)),
            file=file,
            report=lambda ingested: progress.done(ingested.events),
        )


def _show(done: list[dict[str, Any]], total: dict[str, int], conflicts: list[str]) -> None:
    columns = ("file", *_COUNTS, "job_run")
    rows = [[row[column] for column in columns] for row in done]
    if len(rows) > 1:
        rows.append(["total", *(total[name] for name in _COUNTS), ""])
    if rows:
        show_table(columns, rows)
    for event_key in conflicts[:_CONFLICTS_SHOWN]:
        click.echo(f"conflict: {event_key} is stored with other content, which stays", err=True)
