"""A view of the table that is shown once, as JSON, or watched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from quill_models.command.failures import report
from quill_models.command.group import CommandGroup
from quill_models.command.output import console, json_option, limit_option, wants_json
from quill_models.quill import Quill, connect
from quill_models.values.clock import system_clock

__all__ = ["Read", "View", "age", "overview", "present", "shortened", "stacked"]

_WATCH_SECONDS = 2
_ERROR_CHARACTERS = 200
_SECOND, _MINUTE, _HOUR, _DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86400))


@dataclass(frozen=True)
class View:
    """What was read at one moment: for programs, for people, and notes on standard error."""

    document: dict[str, Any]
    shown: RenderableType
    notes: Iterable[str] = ()


Read = Callable[[Quill], View]


def overview(
    options: Iterable[click.Option], limits: str
) -> Callable[[Callable[..., Read]], click.Group]:
    """Make a function that chooses what to read, by options, a group that shows or watches it."""

    def decorate(choose: Callable[..., Read]) -> click.Group:
        @click.group(
            choose.__name__,
            cls=CommandGroup,
            invoke_without_command=True,
            subcommand_metavar="[COMMAND]",
            params=[*options],
            help=choose.__doc__,
        )
        @limit_option(20, limits)
        @json_option
        @click.option(
            "--watch",
            metavar="[SECONDS]",
            is_flag=False,
            flag_value=_WATCH_SECONDS,
            type=click.IntRange(1, 3600),
            help=f"Show it anew every {_WATCH_SECONDS} seconds, or as many as given, until Ctrl-C. "
            "On a terminal only.",
        )
        @click.pass_context
        def group(context: click.Context, /, *, watch: int | None, **chosen: Any) -> None:
            if context.invoked_subcommand is not None:
                _refuse_options(context)
            elif watch is None:
                present(choose(**chosen))
            else:
                _watch(choose(**chosen), watch)

        return group

    return decorate


def present(read: Read) -> None:
    """Show what is read."""
    with connect() as quill:
        view = read(quill)
    report(view.document, view.shown, notes=view.notes)


def stacked(*parts: RenderableType | None) -> RenderableType:
    """Those parts that there are, one below the other."""
    return Group(*(part for part in parts if part is not None))


def _refuse_options(context: click.Context) -> None:
    # Before a subcommand they would say nothing.
    for parameter in context.command.params:
        if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{parameter.opts[0]} is no option for all of {context.command_path!r}; give it "
                f"after {context.invoked_subcommand!r}, where that has it.",
                context,
            )


def age(instant: datetime | None, now: datetime) -> str:
    """How long ago, or in how long, in words: ``3 min ago``, ``in 2 h``."""
    if instant is None:
        return ""
    distance = abs(now - instant)
    units = {2 * _DAY: (_DAY, "days"), _HOUR: (_HOUR, "h"), _MINUTE: (_MINUTE, "min")}
    fitting = (each for least, each in units.items() if distance >= least)
    unit, name = next(fitting, (_SECOND, "s"))
    words = f"{distance // unit} {name}"
    return f"in {words}" if instant > now else f"{words} ago"


def shortened(text: str | None) -> str:
    """A message for a cell of a table; all of it is in the JSON."""
    line = " ".join((text or "").split())
    return line if len(line) <= _ERROR_CHARACTERS else f"{line[: _ERROR_CHARACTERS - 1]}…"


def _watch(read: Read, seconds: int) -> None:
    if wants_json():
        raise click.UsageError("Give --watch or --json, not both.")
    out = console()
    if not out.is_terminal or out.is_dumb_terminal:
        raise click.UsageError("--watch needs a terminal; standard output is none.")
    # Ctrl-C is the way to end it, and not a failure.
    with suppress(KeyboardInterrupt), connect() as quill:
        # Read before the screen is changed, so that an error stands alone.
        view = read(quill)
        with Live(console=out, auto_refresh=False) as live:
            while True:
                now = f"{system_clock():%Y-%m-%d %H:%M:%S} UTC"
                head = Text(f"{now}, every {seconds} s, Ctrl-C ends it", style="dim")
                live.update(Group(head, view.shown), refresh=True)
                time.sleep(seconds)
                view = read(quill)
