"""Groups of commands."""

from __future__ import annotations

import sys
from typing import Any

import click

from quill_models.command.failures import FAILED, Interrupted, report
from quill_models.command.output import show_error
from quill_models.values.errors import QuillError

__all__ = ["CommandGroup", "Root"]

_UNLIMITED = 1000


class CommandGroup(click.Group):
    """A group whose help shows complete summaries, which click would cut to one line."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command."""
        cmd.short_help = cmd.get_short_help_str(_UNLIMITED)
        super().add_command(cmd, name)


class Root(CommandGroup):
    """The command `quill`. Errors become a message and an exit status."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command as a program."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Such as a full disk below standard output. For a closed pipe, click exits silently.
            subject = "Reading or writing" if error.filename is None else error.filename
            show_error(f"{subject}: {error.strerror or error}")
            sys.exit(FAILED)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen subcommand."""
        try:
            return super().invoke(ctx)
        except QuillError as error:
            report({}, errors=[error])
        except (KeyboardInterrupt, click.Abort):  # click.confirm raises Abort.
            report({}, errors=[Interrupted("Interrupted.")])
