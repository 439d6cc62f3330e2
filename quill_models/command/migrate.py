"""`quill migrate`: a table that older versions made, brought up to date while it is in use."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from quill_models.command.failures import Failed, interruptible, report
from quill_models.command.group import CommandGroup
from quill_models.command.output import json_option, table, work_bar
from quill_models.migrations import (
    Applied,
    Listener,
    Migration,
    Progress,
    Standing,
    State,
    write_new,
)
from quill_models.quill import connect
from quill_models.values.errors import MigrationMismatch
from quill_models.values.keys import time_text

__all__ = ["migrate"]

_FOLDER = Path("quill_models", "migrations", "versions")
_TAKEN_UP = "Interrupted. Run quill migrate up again: it goes on where it was."
_to = click.option(
    "--to", metavar="NUMBER", type=click.IntRange(1), help="The last one; by default all of them."
)


@click.group(cls=CommandGroup)
def migrate() -> None:
    """Bring a table of an older version up to date, while in use.

    Install the new version wherever something writes to the table, and migrate then. A new
    table, from quill schema apply, needs no migration.

    \b
    Examples:
      quill migrate status
      quill migrate plan
      quill migrate up
    """  # noqa: D301 -- click's mark for "keep these lines"


@migrate.command()
@json_option
def status() -> None:
    """Show each migration: applied or pending. Exit status 1 where one changed or is unknown.

    \b
    changed   its file is not the one that was applied
    unknown   it was applied by a later version of this package

    \b
    Examples:
      quill migrate status
      quill migrate status --json
    """  # noqa: D301
    with connect() as quill:
        found = quill.migrations.status()
    columns = ("migration", "status", "does", "applied", "by", "seconds", "seen", "changed")
    known = ("applied_at", "owner", "seconds", "seen", "changed")
    rows = [
        (
            each.name,
            each.state.value,
            each.description,
            *(getattr(each.applied, name, "") for name in known),
        )
        for each in found
    ]
    report(
        {"table": quill.settings.table, "migrations": [_standing(each) for each in found]},
        table(columns, rows),
        errors=[
            Failed(
                f"{each.name} is {each.state.value}; quill migrate plan says more.",
                kind=MigrationMismatch.__name__,
                migration=each.name,
            )
            for each in found
            if each.state in {State.CHANGED, State.UNKNOWN}
        ],
    )


@migrate.command()
@_to
@json_option
def plan(*, to: int | None) -> None:
    """Show what up would do, in order. Writes nothing.

    \b
    Examples:
      quill migrate plan
      quill migrate plan --to 2 --json
    """  # noqa: D301
    with connect() as quill:
        pending = quill.migrations.plan(to)
    report(
        {"table": quill.settings.table, "pending": [_migration(each) for each in pending]},
        table(("migration", "does"), [(each.name, each.description) for each in pending])
        if pending
        else "Nothing is pending.",
    )


@migrate.command()
@_to
@click.option(
    "--no-wait", is_flag=True, help="Fail at once, and say who it is, where another migrates."
)
@click.option(
    "--write-units",
    metavar="UNITS",
    type=click.IntRange(1),
    help="The most that a backfill writes in a second; by default as it says itself.",
)
@json_option
def up(*, to: int | None, no_wait: bool, write_units: int | None) -> None:
    """Apply what is pending, in order. Safe to repeat, to interrupt, and to run several times.

    One migrator works at a time; the others wait. If it dies, the next one goes on within
    half a minute, a backfill from where it was. A migration that fails stays pending, and
    none after it is begun.

    \b
    Examples:
      quill migrate up
      quill migrate up --to 2
      quill migrate up --no-wait --write-units 50
    """  # noqa: D301
    with connect() as quill, interruptible(_TAKEN_UP), _listener() as listener:
        done = quill.migrations.up(
            to=to, wait=not no_wait, write_units=write_units, listener=listener
        )
    columns = ("migration", "did", "seconds", "seen", "changed")
    rows = [(each.name, each.description, each.seconds, each.seen, each.changed) for each in done]
    report(
        {"table": quill.settings.table, "applied": [_applied(each) for each in done]},
        table(columns, rows) if done else "Nothing was pending.",
    )


@migrate.command()
@click.argument("words", nargs=-1, required=True)
@json_option
def new(*, words: Sequence[str]) -> None:
    """Write the next migration from a template. For those who work on this package.

    In quill_models/migrations/versions of the current folder.

    \b
    Examples:
      quill migrate new list agents by email
    """  # noqa: D301
    path = write_new(" ".join(words), _FOLDER)
    report({"file": str(path)}, f"Wrote {path}.")


@contextmanager
def _listener() -> Iterator[Listener]:
    """What a migrator does, on standard error: lines, and on a terminal a bar for a backfill."""
    with work_bar("", visible=False) as update:

        def say(text: str) -> None:
            # The bar is that of what was said last.
            update(visible=False, description=text.partition(":")[0])
            # Looked up here: a bar takes the place of standard error.
            click.echo(text, file=sys.stderr)

        def progress(filled: Progress) -> None:
            left = "" if filled.left is None else f", {timedelta(seconds=round(filled.left))} left"
            told = f"{filled.seen:,} of about {filled.total:,} items, {filled.rate:,.0f}/s{left}"
            update(visible=True, completed=filled.seen, total=filled.total, told=told)

        yield Listener(say, progress)


def _standing(standing: Standing) -> dict[str, Any]:
    applied = None if standing.applied is None else _applied(standing.applied)
    return {**_migration(standing), "status": standing.state.value, "applied": applied}


def _migration(migration: Migration | Standing) -> dict[str, Any]:
    names = ("number", "name", "description", "checksum")
    return {name: getattr(migration, name) for name in names}


def _applied(applied: Applied) -> dict[str, Any]:
    return {**vars(applied), "applied_at": time_text(applied.applied_at)}
