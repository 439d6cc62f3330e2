"""A view of the table that is shown once, as JSON, or watched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from quill_models.command.failures import report
from quill_models.command.output import console, wants_json
from quill_models.quill import Quill, connect
from quill_models.values.clock import system_clock

__all__ = ["View", "age", "alone", "present", "shortened", "watch_option"]

_WATCH_SECONDS = 2
_ERROR_CHARACTERS = 200
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

watch_option = click.option(
    "--watch",
    metavar="[SECONDS]",
    is_flag=False,
    flag_value=_WATCH_SECONDS,
    type=click.IntRange(1, 3600),
    help=f"Show it anew every {_WATCH_SECONDS} seconds, or as many as given, until Ctrl-C. "
    "On a terminal only.",
)


@dataclass(frozen=True)
class View:
    """What was read at one moment: for programs, for people, and notes on standard error."""

    document: dict[str, Any]
    shown: RenderableType
    notes: Iterable[str] = ()


def present(read: Callable[[Quill], View], *, watch: int | None = None) -> None:
    """Show what is read, once or again and again."""
    if watch is not None:
        _watch(read, watch)
        return
    with connect() as quill:
        view = read(quill)
    report(view.document, view.shown, notes=view.notes)


def alone(context: click.Context) -> bool:
    """Whether a group was called without a subcommand.

    Raises:
        UsageError: a subcommand was called, and options stand before it, where they say nothing.
    """
    if context.invoked_subcommand is None:
        return True
    for parameter in context.command.params:
        if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{parameter.opts[0]} is no option for all of {context.command_path!r}; give it "
                f"after {context.invoked_subcommand!r}, where that has it.",
                context,
            )
    return False


def age(instant: datetime | None, now: datetime) -> str:
    """How long ago, or in how long, in words: ``3 min ago``, ``in 2 h``."""
    if instant is None:
        return ""
    distance = abs(now - instant)
    if distance < _MINUTE:
        words = f"{distance.seconds} s"
    elif distance < _HOUR:
        words = f"{distance // _MINUTE} min"
    elif distance < 2 * _DAY:
        words = f"{distance // _HOUR} h"
    else:
        words = f"{distance.days} days"
    return f"in {words}" if instant > now else f"{words} ago"


def shortened(text: str | None) -> str:
    """A message for a cell of a table; all of it is in the JSON."""
    line = " ".join((text or "").split())
    return line if len(line) <= _ERROR_CHARACTERS else f"{line[: _ERROR_CHARACTERS - 1]}…"


def _watch(read: Callable[[Quill], View], seconds: int) -> None:
    if wants_json():
        raise click.UsageError("Give --watch or --json, not both.")
    out = console()
    if not out.is_terminal or out.is_dumb_terminal:
        raise click.UsageError("--watch needs a terminal; standard output is none.")
    try:
        # Read before the screen is changed, so that an error stands alone.
        with connect() as quill:
            view = read(quill)
            with Live(console=out, auto_refresh=False) as live:
                while True:
                    now = f"{system_clock():%Y-%m-%d %H:%M:%S} UTC"
                    head = Text(f"{now}, every {seconds} s, Ctrl-C ends it", style="dim")
                    live.update(Group(head, view.shown), refresh=True)
                    time.sleep(seconds)
                    view = read(quill)
    except KeyboardInterrupt:
        # The way to end it, and not a failure.
        return
