"""The command group `quill` with its subcommands."""

from __future__ import annotations

import click

from quill_models.command.completion import completion
from quill_models.command.demo import demo
from quill_models.command.doctor import doctor
from quill_models.command.events import events
from quill_models.command.export import export
from quill_models.command.group import Root
from quill_models.command.help import help_pages
from quill_models.command.ingest import ingest
from quill_models.command.jobs import jobs
from quill_models.command.listing import list_items
from quill_models.command.load import load
from quill_models.command.local import local
from quill_models.command.migrate import migrate
from quill_models.command.schema import schema
from quill_models.command.verbose import add_verbose

__all__ = ["quill"]


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="quill-models", prog_name="quill")
def quill() -> None:
    """Manage the state of the Quill Agent Dashboard in one DynamoDB table.

    Settings come from the environment and from .env: DATA_BACKEND, DYNAMODB_ENDPOINT,
    QUILL_TABLE and others. quill doctor shows their values. quill help shows the
    documentation.

    With --json, standard output is one JSON document and nothing else. If something failed,
    the document has "errors", each with a "type" and a "reason". Wrong usage prints no JSON.

    \b
    Exit status:
      0    done
      1    failed; standard error shows the cause and the next step
      2    wrong usage
      130  interrupted by Ctrl-C

    \b
    Examples:
      quill demo
      quill local start
      quill schema apply
      quill ingest hubspot delivery.json
      quill list webhook-events --status pending
      quill help process-events
    """  # noqa: D301 -- click's mark for "keep these lines"


for command in (demo, local, schema, migrate, ingest, load, list_items, export, jobs, events):
    quill.add_command(command)
for command in (doctor, completion, help_pages):
    quill.add_command(command)
add_verbose(quill)
