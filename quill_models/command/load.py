"""`quill load`: agents, interactions and metrics from JSON Lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from quill_models.command.failures import fail, interruptible
from quill_models.command.files import files_argument, go_through, opened
from quill_models.command.output import json_option, print_json, reading, show_table
from quill_models.loading import load as load_models
from quill_models.loading import read_models
from quill_models.quill import Quill, connect
from quill_models.writes.results import Outcome

__all__ = ["load", "load_file"]

_OUTCOMES = (
    Outcome.CREATED,
    Outcome.UPDATED,
    Outcome.UNCHANGED,
    Outcome.STALE,
    Outcome.CONFLICT,
)
_TAKEN_UP = "Interrupted. What was stored stays; run the same command again for the rest."


@click.command()
@files_argument("FILE.jsonl...")
@json_option
def load(*, files: tuple[str, ...], as_json: bool) -> None:
    """Put agents, interactions and metrics from JSON Lines. Doing it again changes nothing.

    Several files may be given; - is standard input. Where a file has an error, what stands
    before it is stored, the file and the line are named, and the other files are still read;
    the exit status is then 1.

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
    done: list[dict[str, Any]] = []
    with connect() as quill:
        errors = go_through(
            files, lambda file: done.append({"file": file, **load_file(quill, file)})
        )
    if done and not as_json:
        show_table(list(done[0]), [list(row.values()) for row in done])
    if errors:
        fail(*errors, as_json=as_json, document={"files": done})
    if as_json:
        print_json({"files": done})


def load_file(quill: Quill, file: str) -> dict[str, int]:
    """Put the models of one file; how many there were, and of each outcome."""
    counts: Counter[Outcome] = Counter()
    with (
        interruptible(_TAKEN_UP),
        opened(file) as stream,
        reading(stream, Path(file).name, "items") as progress,
    ):
        for result in load_models(quill, read_models(progress.lines(stream))):
            counts[result.outcome] += 1
            progress.done(counts.total())
            if result.outcome is Outcome.CONFLICT:
                click.echo(
                    f"conflict: item {counts.total()} of {file} was not stored: its external id "
                    f"belongs to {result.item!r}",
                    err=True,
                )
    return {
        "items": counts.total(),
        **{outcome.value: counts[outcome] for outcome in _OUTCOMES},
    }
