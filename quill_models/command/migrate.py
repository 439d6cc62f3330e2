"""`quill migrate`: migrations of a table while it is in use."""

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

_PROGRESS = ("seconds", "items read", "items changed")
_FOLDER = Path("quill_models", "migrations", "versions")
_INTERRUPTED = "Interrupted. Run quill migrate up again to continue from the last checkpoint."
_to = click.option(
    "--to", metavar="NUMBER", type=click.IntRange(1), help="Last migration. Default: all."
)


@click.group(cls=CommandGroup)
def migrate() -> None:
    """Migrate a table of an older version while it is in use.

    First install the new version for every process that writes to the table, then migrate. A
    new table of quill schema apply needs no migration.

    \b
    Examples:
      quill migrate status
      quill migrate plan
      quill migrate up
    """  # noqa: D301 -- click's mark for "keep these lines"


@migrate.command()
@json_option
def status() -> None:
    """Show the migrations. Exits with 1 if one is changed or unknown.

    \b
    applied   the table has it
    pending   quill migrate up applies it
    changed   its file differs from the applied one
    unknown   a later version of this package applied it

    \b
    Examples:
      quill migrate status
      quill migrate status --json
    """  # noqa: D301
    with connect() as quill:
        found = quill.migrations.status()
    columns = ("migration", "status", "description", "applied", "owner", *_PROGRESS)
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
                f"Migration {each.name} is {each.state.value}. Run quill migrate plan for the fix.",
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
    """Show the pending migrations in their order. Writes nothing.

    \b
    Examples:
      quill migrate plan
      quill migrate plan --to 2 --json
    """  # noqa: D301
    with connect() as quill:
        pending = quill.migrations.plan(to)
    report(
        {"table": quill.settings.table, "pending": [_migration(each) for each in pending]},
        table(("migration", "description"), [(each.name, each.description) for each in pending])
        if pending
        else "No migrations are pending.",
    )


@migrate.command()
@_to
@click.option(
    "--no-wait", is_flag=True, help="Fail immediately if another process migrates the table."
)
@click.option(
    "--write-units",
    metavar="UNITS",
    type=click.IntRange(1),
    help="Maximum number of write units per second. Default: set by each backfill.",
)
@json_option
def up(*, to: int | None, no_wait: bool, write_units: int | None) -> None:
    """Apply the pending migrations in their order. Safe to repeat and to interrupt.

    One process migrates at a time; others wait. If it dies, the next one takes over within
    half a minute and continues a backfill from its checkpoint. If a migration fails, it stays
    pending, and the command stops.

    \b
    Examples:
      quill migrate up
      quill migrate up --to 2
      quill migrate up --no-wait --write-units 50
    """  # noqa: D301
    with connect() as quill, interruptible(_INTERRUPTED), _listener() as listener:
        done = quill.migrations.up(
            to=to, wait=not no_wait, write_units=write_units, listener=listener
        )
    columns = ("migration", "description", *_PROGRESS)
    rows = [(each.name, each.description, each.seconds, each.seen, each.changed) for each in done]
    report(
        {"table": quill.settings.table, "applied": [_applied(each) for each in done]},
        table(columns, rows) if done else "No migrations were pending.",
    )


@migrate.command()
@click.argument("words", nargs=-1, required=True)
@json_option
def new(*, words: Sequence[str]) -> None:
    """Write the next migration from a template, to develop this package.

    The current folder must be a checkout of the package. WORDS describe the migration.

    \b
    Examples:
      quill migrate new list agents by email
    """  # noqa: D301
    path = write_new(" ".join(words), _FOLDER)
    report({"file": str(path)}, f"Wrote {path}.")


@contextmanager
def _listener() -> Iterator[Listener]:
    """Report migrations on standard error: as lines, and a backfill as a bar on a terminal."""
    with work_bar("", visible=False) as update:

        def echo(text: str) -> None:
            update(visible=False, description=text.partition(":")[0])
            # Looked up on each call, because the bar replaces sys.stderr.
            click.echo(text, file=sys.stderr)

        def progress(filled: Progress) -> None:
            left = "" if filled.left is None else f", {timedelta(seconds=round(filled.left))} left"
            status = f"{filled.seen:,} of about {filled.total:,} items, {filled.rate:,.0f}/s{left}"
            update(visible=True, completed=filled.seen, total=filled.total, status=status)

        yield Listener(echo, progress)


def _standing(standing: Standing) -> dict[str, Any]:
    applied = None if standing.applied is None else _applied(standing.applied)
    return {**_migration(standing), "status": standing.state.value, "applied": applied}


def _migration(migration: Migration | Standing) -> dict[str, Any]:
    names = ("number", "name", "description", "checksum")
    return {name: getattr(migration, name) for name in names}


def _applied(applied: Applied) -> dict[str, Any]:
    return {**vars(applied), "applied_at": time_text(applied.applied_at)}
