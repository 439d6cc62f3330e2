"""`quill schema`: the table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import RenderableType
from rich.text import Text

from quill_models.command.failures import interruptible, report
from quill_models.command.group import CommandGroup
from quill_models.command.output import console, json_option, show, table, wants_json
from quill_models.migrations import State
from quill_models.models import INDEXES
from quill_models.quill import Quill, connect
from quill_models.schema import SchemaDiff
from quill_models.schema.apply import StepReport
from quill_models.schema.infrastructure import FORMATS, ROLES, export_schema
from quill_models.values.errors import QuillError

__all__ = ["schema"]

_GOES_ON = (
    "Interrupted. DynamoDB goes on with what was begun; run quill schema apply again for the rest."
)


@click.group(cls=CommandGroup)
def schema() -> None:
    """Create the table, compare it, mend it, and export it as code."""


@schema.command()
@click.option(
    "--delete-index",
    "delete_indexes",
    metavar="NAME",
    multiple=True,
    # Any may be named; those that the models declare are the ones to offer.
    shell_complete=lambda *_: list(INDEXES),
    help="Delete this index: one that the models do not declare, or declare in another way. "
    "The latter is created anew. May be given more than once.",
)
@click.option("--yes", is_flag=True, help="Do not ask before an index is deleted.")
@json_option
def apply(*, delete_indexes: tuple[str, ...], yes: bool) -> None:
    """Create the table, or bring a live one to what the models declare. Safe to repeat.

    Creates missing indexes, one after the other, and waits until they are filled: on a
    large table that takes long. Ctrl-C ends the waiting only; run it again to go on. Mends
    TTL, stream and billing mode, on AWS also point-in-time recovery, deletion protection,
    encryption and tags. No item is changed, and no index is deleted unless it is named.

    \b
    Examples:
      quill schema apply
      quill schema apply --delete-index gsi2
    """  # noqa: D301 -- click's mark for "keep these lines"
    with connect() as quill:
        table_name, where = quill.settings.table, _where(quill)
        about = {"table": table_name, "endpoint": where}
        if delete_indexes and not yes:
            _confirm(quill, delete_indexes)
        steps: list[str] = []

        def did(step: str) -> None:
            # At once: what was done is not to be lost where the next step fails.
            if not wants_json():
                if not steps:
                    show(Text.assemble("Table ", (table_name, "bold"), f" at {where}:"))
                show(Text(f"  {step}"))
            steps.append(step)

        try:
            with _waiting() as progress, interruptible(_GOES_ON):
                done = quill.schema.apply(did, delete_indexes=delete_indexes, progress=progress)
        except QuillError as error:
            report({**about, "done": steps} if steps else {}, errors=[error])
            raise
        found = quill.schema.diff()
        pending = [each.name for each in quill.migrations.status() if each.state is State.PENDING]
    if not done:
        did("all is there already, nothing was changed")
    left = [f"left alone: {each.what}. {each.remedy}" for each in found.differences]
    names = ", ".join(pending)
    waiting = [f"pending migrations: {names}. See quill migrate plan."] if pending else []
    report(
        {
            **about,
            "done": done,
            "left": [each.what for each in found.differences],
            "missing": list(found.missing),
            "pending_migrations": pending,
        },
        *(Text(f"  {line}") for line in (*_missing(found), *left, *waiting)),
    )


@schema.command()
@json_option
def diff() -> None:
    """Show in what the live table differs from what the models declare. Writes nothing.

    The exit status is 0 where they are equal, and 1 where they differ.

    \b
    Examples:
      quill schema diff
      quill schema diff --json
    """  # noqa: D301
    with connect() as quill:
        found = quill.schema.diff()
    name, where = quill.settings.table, _where(quill)
    names = ("what", "declared", "live", "remedy")
    rows = [{column: getattr(each, column) for column in names} for each in found.differences]
    shown: RenderableType = table(
        ("what", "declared", "live", "what mends it"),
        [list(row.values()) for row in rows],
        title=f"Table {name} at {where}",
    )
    if found.is_equal:
        shown = Text.assemble("Table ", (name, "bold"), f" at {where} is what the models declare.")
    about = {"table": name, "endpoint": where, "equal": found.is_equal}
    report(
        {**about, "differences": rows, "missing": list(found.missing)},
        shown,
        *(Text(f"  {line}") for line in _missing(found)),
    )
    sys.exit(0 if found.is_equal else 1)


@schema.command()
@click.option(
    "--format",
    "export_format",
    type=click.Choice(sorted(FORMATS)),
    required=True,
    help="json holds the API calls that make the table; iam is a policy.",
)
@click.option(
    "--role",
    type=click.Choice(sorted(ROLES)),
    default="writer",
    show_default=True,
    help="For iam: a reader asks, a writer is the ETL, a migrator changes the table.",
)
def export(*, export_format: str, role: str) -> None:
    """Print the table as code for infrastructure, from the models and the settings.

    No request is made. With DATA_BACKEND=aws it has what is asked for there: point-in-time
    recovery, deletion protection, encryption and tags.

    \b
    Examples:
      quill schema export --format cloudformation > quill.template.json
      quill schema export --format terraform > quill.tf
      quill schema export --format iam --role writer
    """  # noqa: D301
    click.echo(export_schema(export_format, role), nl=False)


def _confirm(quill: Quill, delete_indexes: tuple[str, ...]) -> None:
    named = ", ".join(delete_indexes)
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"To delete {named} without being asked, give --yes.")
    question = (
        f"Delete {named} of the table {quill.settings.table!r} at {_where(quill)}? Reads that use "
        "it fail until it is there again."
    )
    if not click.confirm(question, err=True):
        raise QuillError("Nothing was changed, as the answer was no.")


@contextmanager
def _waiting() -> Iterator[StepReport]:
    """What is waited for, on standard error: one line that changes on a terminal, else lines."""
    out = console(stderr=True)
    with out.status("") as status:

        def progress(text: str) -> None:
            if out.is_terminal:
                status.update(text)
            else:
                out.print(f"  waiting: {text}", markup=False)

        yield progress


def _where(quill: Quill) -> str:
    return quill.settings.endpoint or "AWS"


def _missing(found: SchemaDiff) -> list[str]:
    return [f"skipped: this server has no {what}" for what in found.missing]
