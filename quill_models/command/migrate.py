"""`quill migrate`: a table that older versions made, brought up to date while it is in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import TextColumn

from quill_models.command.failures import Failed, fail, interruptible
from quill_models.command.group import CommandGroup
from quill_models.command.output import error_console, json_option, print_json, show_table, work_bar
from quill_models.migrations import Applied, Listener, Migration, Standing, State, write_new
from quill_models.migrations import Progress as Filled
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
def status(*, as_json: bool) -> None:
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
        table = quill.settings.table
    wrong = [each for each in found if each.state in {State.CHANGED, State.UNKNOWN}]
    document = {"table": table, "migrations": [_standing(each) for each in found]}
    if not as_json:
        columns = ("migration", "status", "does", "applied", "by", "seconds", "seen", "changed")
        show_table(columns, [_row(each) for each in found])
    if wrong:
        fail(*map(_mismatch, wrong), as_json=as_json, document=document)
    if as_json:
        print_json(document)


@migrate.command()
@_to
@json_option
def plan(*, to: int | None, as_json: bool) -> None:
    """Show what up would do, in order. Writes nothing.

    \b
    Examples:
      quill migrate plan
      quill migrate plan --to 2 --json
    """  # noqa: D301
    with connect() as quill:
        pending = quill.migrations.plan(to)
        table = quill.settings.table
    if as_json:
        print_json({"table": table, "pending": [_migration(each) for each in pending]})
    elif pending:
        show_table(("migration", "does"), [(each.name, each.description) for each in pending])
    else:
        click.echo("Nothing is pending.")


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
def up(*, to: int | None, no_wait: bool, write_units: int | None, as_json: bool) -> None:
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
    with connect() as quill, interruptible(_TAKEN_UP), _shown() as listener:
        done = quill.migrations.up(
            to=to, wait=not no_wait, write_units=write_units, listener=listener
        )
        table = quill.settings.table
    if as_json:
        print_json({"table": table, "applied": [_applied(each) for each in done]})
    elif done:
        columns = ("migration", "did", "seconds", "seen", "changed")
        show_table(
            columns,
            [(each.name, each.description, each.seconds, each.seen, each.changed) for each in done],
        )
    else:
        click.echo("Nothing was pending.")


@migrate.command()
@click.argument("words", nargs=-1, required=True)
@json_option
def new(*, words: Sequence[str], as_json: bool) -> None:
    """Write the next migration from a template. For those who work on this package.

    In quill_models/migrations/versions of the current folder.

    \b
    Examples:
      quill migrate new list agents by email
    """  # noqa: D301
    path = write_new(" ".join(words), _FOLDER)
    if as_json:
        print_json({"file": str(path)})
    else:
        click.echo(f"Wrote {path}.")


@contextmanager
def _shown() -> Iterator[Listener]:
    """What a migrator does, on standard error: lines, and on a terminal a bar for a backfill."""
    out = error_console()
    with work_bar(out, TextColumn("{task.fields[told]}", markup=False)) as bars:
        task = bars.add_task("", visible=False, total=None, told="")

        def report(text: str) -> None:
            # The bar is that of what was reported last.
            bars.update(task, visible=False, description=text.partition(":")[0])
            out.print(text, markup=False, soft_wrap=True)

        def progress(filled: Filled) -> None:
            bars.update(
                task, visible=True, completed=filled.seen, total=filled.total, told=_told(filled)
            )

        yield Listener(report, progress)


def _told(filled: Filled) -> str:
    left = "" if filled.left is None else f", {_duration(filled.left)} left"
    return f"{filled.seen:,} of about {filled.total:,} items, {filled.rate:,.0f}/s{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _mismatch(standing: Standing) -> Failed:
    return Failed(
        f"{standing.name} is {standing.state.value}; quill migrate plan says more.",
        kind=MigrationMismatch.__name__,
        migration=standing.name,
    )


def _row(standing: Standing) -> Sequence[Any]:
    applied = standing.applied
    known = (
        ("", "", "", "", "")
        if applied is None
        else (applied.applied_at, applied.owner, applied.seconds, applied.seen, applied.changed)
    )
    return (standing.name, standing.state.value, standing.description, *known)


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "number": standing.number,
        "name": standing.name,
        "description": standing.description,
        "status": standing.state.value,
        "checksum": standing.checksum,
        "applied": None if standing.applied is None else _applied(standing.applied),
    }


def _migration(migration: Migration) -> dict[str, Any]:
    return {
        "number": migration.number,
        "name": migration.name,
        "description": migration.description,
        "checksum": migration.checksum,
    }


def _applied(applied: Applied) -> dict[str, Any]:
    return {**vars(applied), "applied_at": time_text(applied.applied_at)}
