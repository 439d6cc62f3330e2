"""Commands with subcommands."""

from __future__ import annotations

import sys
from typing import Any

import click

from quill_models.command.failures import FAILED, Interrupted, report
from quill_models.command.output import show_error
from quill_models.values.errors import QuillError

__all__ = ["CommandGroup", "Root"]

_WHOLE = 1000


class CommandGroup(click.Group):
    """Shows the summary of each of its commands whole: click cuts them to one line."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command."""
        cmd.short_help = cmd.get_short_help_str(_WHOLE)
        super().add_command(cmd, name)


class Root(CommandGroup):
    """The command itself: whatever fails in it becomes a message and an exit status."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run it as a program."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Mostly standard output, to a full disk. If its reader has ended, click exits silently.
            where = "Reading or writing" if error.filename is None else error.filename
            show_error(f"{where}: {error.strerror or error}")
            sys.exit(FAILED)

    def invoke(self, ctx: click.Context) -> Any:
        """Run what was asked for."""
        try:
            return super().invoke(ctx)
        except QuillError as error:
            report({}, errors=[error])
        except (KeyboardInterrupt, click.Abort):  # The latter from a question.
            report({}, errors=[Interrupted("Interrupted.")])
