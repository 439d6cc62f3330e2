"""`quill load`: put agents, interactions and metrics from JSON Lines."""

from __future__ import annotations

from typing import Any

import click

from quill_models.command.failures import report
from quill_models.command.files import files_argument, process_files, reading
from quill_models.command.output import json_option, table
from quill_models.loading import load as load_models
from quill_models.loading import read_models
from quill_models.quill import Quill
from quill_models.writes.results import Outcome

__all__ = ["load", "load_file"]

_COUNTS = ("items", "created", "updated", "unchanged", "stale", "conflict")


@click.command()
@files_argument("FILE.jsonl...")
@json_option
def load(*, files: tuple[str, ...]) -> None:
    """Put agents, interactions and metrics from JSON Lines. Safe to repeat.

    You can give several files; - is standard input. If a file is invalid, the command stores
    the items before the error, reports the file and the line, reads the other files, and
    exits with 1.

    \b
    Each line is an object with a kind and the fields of that kind:
      {"kind": "agent", "agent_id": "7", "name": "Ada", "team": "north"}
      {"kind": "interaction", "interaction_id": "c1", "agent_id": "7",
       "channel": "call", "started_at": "2026-11-22T10:00:00Z"}
      {"kind": "metric", "scope": "agent:7", "name": "calls", "grain": "day",
       "bucket_start": "2026-11-22T00:00:00Z", "value": 12}

    \b
    Examples:
      quill load agents.jsonl
      quill load --json agents.jsonl interactions.jsonl
      gunzip -c agents.jsonl.gz | quill load -
    """  # noqa: D301 -- click's mark for "keep these lines"
    done, errors = process_files(files, load_file)
    rows: list[dict[str, Any]] = [{"file": file, **counts} for file, counts in done]
    output = [table(("file", *_COUNTS), rows)] if rows else []
    report({"files": rows}, *output, errors=errors)


def load_file(quill: Quill, file: str) -> dict[str, int]:
    """Put the models of one file, and return the number of items and of each outcome."""
    counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
    with reading(file, "items", kept="stored") as (lines, report_done):
        for result in load_models(quill, read_models(lines)):
            counts["items"] += 1
            counts[result.outcome] += 1
            report_done(counts["items"])
            if result.outcome is Outcome.CONFLICT:
                owner = getattr(result.item, result.item.IDENTITY[0])
                click.echo(
                    f"conflict: item {counts['items']} of {file} was not stored, because its "
                    f"external id belongs to {result.item.KIND} {owner}",
                    err=True,
                )
    return counts
