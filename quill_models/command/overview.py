"""Views of the table that are printed once, as JSON, or repeatedly."""

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
    """The result of a read: a JSON document, output, and notes for standard error."""

    document: dict[str, Any]
    output: RenderableType
    notes: Iterable[str] = ()


Read = Callable[[Quill], View]


def overview(
    options: Iterable[click.Option], limit_help: str
) -> Callable[[Callable[..., Read]], click.Group]:
    """Turn a function that maps options to a `Read` into a group that prints or watches it."""

    def decorate(choose: Callable[..., Read]) -> click.Group:
        @click.group(
            choose.__name__,
            cls=CommandGroup,
            invoke_without_command=True,
            subcommand_metavar="[COMMAND]",
            params=[*options],
            help=choose.__doc__,
        )
        @limit_option(20, limit_help)
        @json_option
        @click.option(
            "--watch",
            metavar="[SECONDS]",
            is_flag=False,
            flag_value=_WATCH_SECONDS,
            type=click.IntRange(1, 3600),
            help=f"Refresh every {_WATCH_SECONDS} or SECONDS until Ctrl-C. Needs a terminal.",
        )
        @click.pass_context
        def group(context: click.Context, /, *, watch: int | None, **chosen: Any) -> None:
            if context.invoked_subcommand is not None:
                _reject_options(context)
            elif watch is None:
                present(choose(**chosen))
            else:
                _watch(choose(**chosen), watch)

        return group

    return decorate


def present(read: Read) -> None:
    """Read and print a view."""
    with connect() as quill:
        view = read(quill)
    report(view.document, view.output, notes=view.notes)


def stacked(*parts: RenderableType | None) -> RenderableType:
    """Put the parts that are not None below each other."""
    return Group(*(part for part in parts if part is not None))


def _reject_options(context: click.Context) -> None:
    # Options before a subcommand would have no effect.
    for parameter in context.command.params:
        if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{parameter.opts[0]} has no effect before a subcommand of {context.command_path}. "
                f"Move it behind {context.invoked_subcommand}, or omit it.",
                context,
            )


def age(instant: datetime | None, now: datetime) -> str:
    """Return the distance of an instant from now, such as ``3 min ago`` or ``in 2 h``."""
    if instant is None:
        return ""
    distance = abs(now - instant)
    units = {2 * _DAY: (_DAY, "days"), _HOUR: (_HOUR, "h"), _MINUTE: (_MINUTE, "min")}
    fitting = (each for least, each in units.items() if distance >= least)
    unit, name = next(fitting, (_SECOND, "s"))
    words = f"{distance // unit} {name}"
    return f"in {words}" if instant > now else f"{words} ago"


def shortened(text: str | None) -> str:
    """Shorten a message for a table cell. The JSON has the complete message."""
    line = " ".join((text or "").split())
    return line if len(line) <= _ERROR_CHARACTERS else f"{line[: _ERROR_CHARACTERS - 1]}…"


def _watch(read: Read, seconds: int) -> None:
    if wants_json():
        raise click.UsageError("Give either --watch or --json.")
    out = console()
    if not out.is_terminal or out.is_dumb_terminal:
        raise click.UsageError("--watch needs a terminal with a movable cursor. Omit --watch.")
    # Ctrl-C is the normal way to stop.
    with suppress(KeyboardInterrupt), connect() as quill:
        # Read before the screen changes, so that an error is printed without a table.
        view = read(quill)
        with Live(console=out, auto_refresh=False) as live:
            while True:
                now = f"{system_clock():%Y-%m-%d %H:%M:%S} UTC"
                head = Text(f"{now}, every {seconds} s, Ctrl-C to stop", style="dim")
                live.update(Group(head, view.output), refresh=True)
                time.sleep(seconds)
                view = read(quill)
