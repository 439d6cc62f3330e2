"""`quill load`: agents, interactions and metrics from JSON Lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from quill_models.command.output import json_option, print_json, reading, show_error, show_table
from quill_models.errors import InvalidPayload
from quill_models.loading import load as load_models
from quill_models.loading import read_models
from quill_models.quill import Quill, connect
from quill_models.results import Outcome

__all__ = ["load", "load_file"]

_OUTCOMES = (
    Outcome.CREATED,
    Outcome.UPDATED,
    Outcome.UNCHANGED,
    Outcome.STALE,
    Outcome.CONFLICT,
)


@click.command()
@click.argument(
    "files",
    metavar="FILE.jsonl...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True),
)
@json_option
def load(*, files: tuple[str, ...], as_json: bool) -> None:
    """Put agents, interactions and metrics from JSON Lines. Doing it again changes nothing.

    What stands before an error in a file is stored.

    \b
    Each line is an object with a kind and the fields of that kind:
      {"kind": "agent", "agent_id": "7", "name": "Ada", "team": "north"}
      {"kind": "interaction", "interaction_id": "c1", "agent_id": "7",
       "channel": "call", "started_at": "2026-11-22T10:00:00Z"}
      {"kind": "metric", "scope": "agent:7", "name": "calls", "grain": "day",
       "bucket_start": "2026-11-22T00:00:00Z", "value": 12}
    """  # noqa: D301 -- click's mark for "keep these lines"
    done: list[dict[str, Any]] = []
    errors: list[InvalidPayload] = []
    with connect() as quill:
        for file in files:
            try:
                counts = load_file(quill, Path(file))
            except InvalidPayload as error:
                errors.append(error.in_source(file))
                continue
            done.append({"file": file, **counts})
    if as_json:
        document: dict[str, Any] = {"files": done}
        if errors:
            document["errors"] = [
                {"file": each.source, "position": each.position, "reason": each.reason}
                for each in errors
            ]
        print_json(document)
    elif done:
        show_table(list(done[0]), [list(row.values()) for row in done])
    for each in errors:
        show_error(each)
    if errors:
        raise SystemExit(1)


def load_file(quill: Quill, file: Path) -> dict[str, int]:
    """Put the models of one file; how many there were, and of each outcome."""
    counts: Counter[Outcome] = Counter()
    with file.open("rb") as stream, reading(stream, file.name, "items") as progress:
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
