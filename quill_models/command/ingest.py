"""`quill ingest`: deliveries of a source into the table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from quill_models import hubspot as hubspot_source
from quill_models.command.output import json_option, print_json, reading, show_error, show_table
from quill_models.errors import InvalidPayload, PartialWriteError, QuillError
from quill_models.ingestion import Ingested
from quill_models.ingestion import ingest as ingest_events
from quill_models.quill import Quill, connect

__all__ = ["ingest", "ingest_file"]

JOB_NAME = "ingest-hubspot"
_COUNTS = ("events", "created", "duplicate", "conflict")
_CONFLICTS_SHOWN = 10


@click.group()
def ingest() -> None:
    """Record a source's deliveries. Doing it again changes nothing."""


@ingest.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
@json_option
def hubspot(*, files: tuple[str, ...], as_json: bool) -> None:
    """Record HubSpot webhook deliveries.

    \b
    FILE holds a JSON array, as in one request, or JSON Lines: an array or an event a
    line. Several files may be given; - is standard input.

    \b
      quill ingest hubspot delivery.json
      cat *.jsonl | quill ingest hubspot -

    Where a file has an error, the events before it are recorded, the file and the place are
    named, and the other files are still read; the exit status is then 1. An event that is
    stored with other content is a conflict: what is stored stays.
    """  # noqa: D301 -- click's mark for "keep these lines"
    done: list[dict[str, Any]] = []
    errors: list[InvalidPayload] = []
    conflicts: list[str] = []
    with connect() as quill:
        for file in files:
            try:
                ingested = ingest_file(quill, file)
            except InvalidPayload as error:
                errors.append(error.in_source(file))
                continue
            except PartialWriteError as error:
                raise QuillError(f"{file}: {error} Run the same command again.") from error
            done.append({"file": file, **ingested.counts(), "job_run": ingested.job_run})
            conflicts += [result.item.event_key for result in ingested.conflicts]
    total = {name: sum(row[name] for row in done) for name in _COUNTS}
    if as_json:
        document: dict[str, Any] = {"files": done, "total": total}
        if conflicts:
            document["conflicts"] = conflicts
        if errors:
            document["errors"] = [
                {"file": each.source, "position": each.position, "reason": each.reason}
                for each in errors
            ]
        print_json(document)
    else:
        _show(done, total, conflicts)
    for each in errors:
        show_error(each)
    if errors:
        raise SystemExit(1)


def ingest_file(quill: Quill, file: str) -> Ingested:
    """Record the events of one file, in a job run of its own."""
    with _opened(file) as stream, reading(stream, Path(file).name, "events") as progress:
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


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        # Closed by whoever leaves the block, not here.
        stream = open(file, "rb")  # noqa: PTH123, SIM115
    except OSError as error:
        raise InvalidPayload(f"cannot be read: {error.strerror}") from error
    with stream:
        yield stream
