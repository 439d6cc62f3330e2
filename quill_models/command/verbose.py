"""The option ``-v`` of every command: requests on standard error."""

from __future__ import annotations

import logging
import sys

import click

from quill_models.command.output import VISIBLE

__all__ = ["add_verbose"]

_SETTING = "quill_models.verbose"
_MORE = {
    "quill_sent_bytes": "bytes sent",
    "quill_received_bytes": "bytes received",
    "quill_request_id": "request id",
    "quill_owner": "owner",
}


def add_verbose(command: click.Command) -> None:
    """Add the option to a command and its subcommands, so that any position works."""
    command.params.append(
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            is_eager=True,
            callback=_enable,
            help="Show each request on standard error. -vv adds sizes and request ids.",
        )
    )
    if isinstance(command, click.Group):
        for each in command.commands.values():
            add_verbose(each)


def _enable(context: click.Context, _: click.Parameter, count: int) -> None:
    """Add the count of one command in the line to those of the others."""
    root, logger = context.find_root(), logging.getLogger("quill_models")
    if _SETTING not in root.meta:
        handler, level = _StandardErrorHandler(logging.WARNING), logger.level
        root.meta[_SETTING] = handler
        logger.addHandler(handler)
        root.call_on_close(lambda: logger.removeHandler(handler))
        root.call_on_close(lambda: logger.setLevel(level))
    root.meta[_SETTING].verbosity += count
    if root.meta[_SETTING].verbosity:
        root.meta[_SETTING].setLevel(logging.DEBUG)
        logger.setLevel(logging.DEBUG)


class _StandardErrorHandler(logging.Handler):
    """Print warnings, and with ``-v`` all records, one per line."""

    verbosity = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"Warning: {text}"
        if self.verbosity > 1:
            values = ((name, vars(record).get(field)) for field, name in _MORE.items())
            text += "".join(f", {name} {value}" for name, value in values if value is not None)
        # Looked up on each call, because a bar replaces sys.stderr.
        click.echo(text.translate(VISIBLE), file=sys.stderr)
