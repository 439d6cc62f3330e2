"""`quill schema`: create, compare, update and export the table."""

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

_INTERRUPTED = (
    "Interrupted. DynamoDB continues the current change. Run quill schema apply again for the rest."
)


@click.group(cls=CommandGroup)
def schema() -> None:
    """Create, compare, update and export the table."""


@schema.command()
@click.option(
    "--delete-index",
    "delete_indexes",
    metavar="NAME",
    multiple=True,
    # Every name is allowed, but only declared indexes are offered.
    shell_complete=lambda *_: list(INDEXES),
    help="Delete this index, which the models do not declare or declare differently. A declared "
    "index is then created again. Repeat the option for several indexes.",
)
@click.option("--yes", is_flag=True, help="Delete indexes without confirmation.")
@json_option
def apply(*, delete_indexes: tuple[str, ...], yes: bool) -> None:
    """Create the table, or update it to match the models. Safe to repeat.

    Creates missing indexes one after the other and waits until they are filled, which is slow
    on a large table. Ctrl-C only stops the waiting; run the command again to continue. Also
    sets TTL, stream and billing mode, and on AWS point-in-time recovery, deletion protection,
    encryption and tags. Changes no item, and deletes only the indexes of --delete-index.

    \b
    Examples:
      quill schema apply
      quill schema apply --delete-index gsi2
    """  # noqa: D301 -- click's mark for "keep these lines"
    with connect() as quill:
        table_name, endpoint = quill.settings.table, _endpoint(quill)
        about = {"table": table_name, "endpoint": endpoint}
        if delete_indexes and not yes:
            _confirm(quill, delete_indexes)
        steps: list[str] = []

        def echo(step: str) -> None:
            # Immediately, so that the completed steps are visible if the next one fails.
            if not wants_json():
                if not steps:
                    show(Text.assemble("Table ", (table_name, "bold"), f" at {endpoint}:"))
                show(Text(f"  {step}"))
            steps.append(step)

        try:
            with _waiting() as progress, interruptible(_INTERRUPTED):
                done = quill.schema.apply(echo, delete_indexes=delete_indexes, progress=progress)
        except QuillError as error:
            report({**about, "done": steps} if steps else {}, errors=[error])
            raise
        found = quill.schema.diff()
        pending = [each.name for each in quill.migrations.status() if each.state is State.PENDING]
    if not done:
        echo("the table is up to date, nothing was changed")
    left = [f"not changed: {each.what}. {each.remedy}" for each in found.differences]
    names = ", ".join(pending)
    notes = [f"pending migrations: {names}. See quill migrate plan."] if pending else []
    report(
        {
            **about,
            "done": done,
            "left": [each.what for each in found.differences],
            "missing": list(found.missing),
            "pending_migrations": pending,
        },
        *(Text(f"  {line}") for line in (*_missing(found), *left, *notes)),
    )


@schema.command()
@json_option
def diff() -> None:
    """Compare the table with the models. Writes nothing.

    The exit status is 0 if the table matches the models, else 1.

    \b
    Examples:
      quill schema diff
      quill schema diff --json
    """  # noqa: D301
    with connect() as quill:
        found = quill.schema.diff()
    name, endpoint = quill.settings.table, _endpoint(quill)
    names = ("what", "declared", "live", "remedy")
    rows = [{column: getattr(each, column) for column in names} for each in found.differences]
    output: RenderableType = table(
        ("what", "declared", "live", "remedy"),
        [list(row.values()) for row in rows],
        title=f"Table {name} at {endpoint}",
    )
    if found.is_equal:
        output = Text.assemble("Table ", (name, "bold"), f" at {endpoint} matches the models.")
    about = {"table": name, "endpoint": endpoint, "equal": found.is_equal}
    report(
        {**about, "differences": rows, "missing": list(found.missing)},
        output,
        *(Text(f"  {line}") for line in _missing(found)),
    )
    sys.exit(0 if found.is_equal else 1)


@schema.command()
@click.option(
    "--format",
    "export_format",
    type=click.Choice(sorted(FORMATS)),
    required=True,
    help="Format. json holds the API calls that create the table, iam a policy.",
)
@click.option(
    "--role",
    type=click.Choice(sorted(ROLES)),
    default="writer",
    show_default=True,
    help="Role of the iam policy: a reader, a writer (the ETL), or a migrator of the table.",
)
def export(*, export_format: str, role: str) -> None:
    """Print the table as infrastructure code, from the models and the settings.

    Sends no request. With DATA_BACKEND=aws, the output includes the configured point-in-time
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
        raise click.UsageError(f"Deleting {named} needs a confirmation. Add --yes.")
    question = (
        f"Delete {named} of the table {quill.settings.table} at {_endpoint(quill)}? Reads of an "
        "index fail until it exists again."
    )
    if not click.confirm(question, err=True):
        raise QuillError("The deletion was not confirmed. Nothing was changed.")


@contextmanager
def _waiting() -> Iterator[StepReport]:
    """Show progress on standard error: one updated line on a terminal, else a line per step."""
    out = console(stderr=True)
    with out.status("") as status:

        def progress(text: str) -> None:
            if out.is_terminal:
                status.update(text)
            else:
                out.print(f"  waiting: {text}", markup=False)

        yield progress


def _endpoint(quill: Quill) -> str:
    return quill.settings.endpoint or "AWS"


def _missing(found: SchemaDiff) -> list[str]:
    return [f"skipped: this server does not support {what}" for what in found.missing]
