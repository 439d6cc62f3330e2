"""The option ``-v`` of every command: what happens on the wire, on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import click

from quill_models.command.output import VISIBLE

__all__ = ["add_verbose"]

_LOGGER = "quill_models"
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
    root = context.find_root()
    handler: _OnStandardError | None = root.meta.get(_SETTING)
    if handler is None:
        handler = root.meta[_SETTING] = _OnStandardError()
        logger = logging.getLogger(_LOGGER)
        before = logger.level
        logger.addHandler(handler)
        root.call_on_close(lambda: logger.removeHandler(handler))
        root.call_on_close(lambda: logger.setLevel(before))
    handler.hear(count)


class _OnStandardError(logging.Handler):
    """A line for each record: warnings in any case, the rest where it is asked for."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._asked = 0

    def hear(self, more: int) -> None:
        self._asked += more
        if self._asked:
            self.setLevel(logging.DEBUG)
            logging.getLogger(_LOGGER).setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"Warning: {text}"
        if self._asked > 1:
            text += "".join(f", {name} {value}" for name, value in _more(record))
        # Looked up each time, as a bar that is on standard error takes its place for a while.
        click.echo(text.translate(VISIBLE), file=sys.stderr)


def _more(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """What of a record its message does not say."""
    for field, name in _MORE.items():
        value = vars(record).get(field)
        if value is not None:
            yield name, value
