"""The commands, put together."""

from __future__ import annotations

import click

from quill_models import __version__
from quill_models.command.demo import demo
from quill_models.command.doctor import doctor
from quill_models.command.events import events
from quill_models.command.export import export
from quill_models.command.ingest import ingest
from quill_models.command.jobs import jobs
from quill_models.command.listing import list_items
from quill_models.command.load import load
from quill_models.command.local import local
from quill_models.command.migrate import migrate
from quill_models.command.schema import schema

__all__ = ["quill"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="quill")
def quill() -> None:
    """The state layer of the Quill Agent Dashboard, on one DynamoDB table.

    Settings come from the environment and from .env: DATA_BACKEND, DYNAMODB_ENDPOINT,
    QUILL_TABLE. The exit status is 0 for done, 1 for failed, 2 for wrong usage.
    """


_COMMANDS = (
    demo,
    local,
    schema,
    migrate,
    ingest,
    load,
    list_items,
    export,
    jobs,
    events,
    doctor,
)

for command in _COMMANDS:
    quill.add_command(command)
