"""Commands with subcommands."""

from __future__ import annotations

import sys
from typing import Any

import click

from quill_models.command.failures import FAILED, Interrupted, fail
from quill_models.command.output import show_error, wants_json
from quill_models.values.errors import QuillError

__all__ = ["CommandGroup", "Root"]

_WHOLE = 1000


class CommandGroup(click.Group):
    """Shows the summary of each of its commands whole: click cuts them to one line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands into the help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(_WHOLE))
                    for name, command in commands
                    if command is not None and not command.hidden
                ]
            )


class Root(CommandGroup):
    """The command itself: whatever fails in it becomes a message and an exit status."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run it as a program."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Mostly standard output, to a full disk: nothing more can be printed there. Of one
            # whose reader has enough, click has ended without a word.
            where = "Reading or writing" if error.filename is None else error.filename
            show_error(f"{where}: {error.strerror or error}")
            sys.exit(FAILED)

    def invoke(self, ctx: click.Context) -> Any:
        """Run what was asked for."""
        try:
            return super().invoke(ctx)
        except QuillError as error:
            fail(error, as_json=wants_json(ctx))
        # The latter from a question.
        except (KeyboardInterrupt, click.Abort):
            fail(Interrupted("Interrupted."), as_json=wants_json(ctx))
