"""The option ``-v`` of every command: what happens on the wire, on standard error."""

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
    """Give a command and all under it the option, so that it may stand in any place."""
    command.params.append(
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            is_eager=True,
            callback=_listen,
            help="Show each request on standard error; -vv says more of it.",
        )
    )
    if isinstance(command, click.Group):
        for each in command.commands.values():
            add_verbose(each)


def _listen(context: click.Context, _: click.Parameter, count: int) -> None:
    """Once for each command in the line: the one nearest to the end adds to those before it."""
    root, logger = context.find_root(), logging.getLogger("quill_models")
    if _SETTING not in root.meta:
        handler, level = _OnStandardError(logging.WARNING), logger.level
        root.meta[_SETTING] = handler
        logger.addHandler(handler)
        root.call_on_close(lambda: logger.removeHandler(handler))
        root.call_on_close(lambda: logger.setLevel(level))
    root.meta[_SETTING].asked += count
    if root.meta[_SETTING].asked:
        root.meta[_SETTING].setLevel(logging.DEBUG)
        logger.setLevel(logging.DEBUG)


class _OnStandardError(logging.Handler):
    """A line for each record: warnings in any case, the rest if it is asked for."""

    asked = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"Warning: {text}"
        if self.asked > 1:
            values = ((name, vars(record).get(field)) for field, name in _MORE.items())
            text += "".join(f", {name} {value}" for name, value in values if value is not None)
        # Looked up each time, as a bar that is on standard error takes its place for a while.
        click.echo(text.translate(VISIBLE), file=sys.stderr)
