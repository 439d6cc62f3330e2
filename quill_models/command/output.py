"""What the command shows: tables for people, one JSON document for programs, errors."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO, TextIO

import click
import simplejson
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from quill_models.local.downloads import DownloadReport

__all__ = [
    "VISIBLE",
    "Reading",
    "console",
    "download_bar",
    "error_console",
    "json_option",
    "limit_option",
    "print_json",
    "reading",
    "show",
    "show_error",
    "show_table",
    "table",
    "wants_json",
    "work_bar",
]

# A pipe has no width; wide enough that nothing is cut in a log.
_PIPE_WIDTH = 200
# What a cell holds came from outside: an escape character in it must not steer the terminal.
VISIBLE = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}

_AS_JSON = "quill_models.as_json"


def _remember(context: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001
    # An error is shown where the parameters of the command that failed are not known any more.
    if value:
        context.meta[_AS_JSON] = True
    return value


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_remember, help="Print one JSON document."
)


def limit_option(default: int, says: str) -> Callable[[Any], Any]:
    """The option ``--limit``: how many to show at most."""
    return click.option(
        "--limit",
        # More would be meant for quill export.
        type=click.IntRange(1, 1_000_000),
        default=default,
        show_default=True,
        help=says,
    )


def wants_json(context: click.Context) -> bool:
    """Whether ``--json`` was given, to a command or to one of its subcommands."""
    return bool(context.meta.get(_AS_JSON))


def console() -> Console:
    """Standard output. Colours and the terminal's width where it is a terminal."""
    return Console(width=_width_of(sys.stdout), highlight=False, emoji=False)


def error_console() -> Console:
    """Standard error."""
    return Console(stderr=True, width=_width_of(sys.stderr), highlight=False, emoji=False)


def _width_of(stream: TextIO | None) -> int | None:
    # There is no stream where the shell has closed it.
    return None if stream is not None and stream.isatty() else _PIPE_WIDTH


def show(what: RenderableType) -> None:
    """Show tables and texts on standard output."""
    out = console()
    if out.is_terminal:
        out.print(what)
        return
    with out.capture() as shown:
        out.print(what)
    # Rich fills each line up to the width of what it belongs to.
    click.echo("\n".join(line.rstrip() for line in shown.get().splitlines()))


def show_error(error: BaseException | str) -> None:
    """One message on standard error."""
    error_console().print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)


def print_json(document: Any) -> None:
    """The one JSON document of a command on standard output."""
    text = simplejson.dumps(document, use_decimal=True, ensure_ascii=False, indent=2)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        # Unpaired surrogates, which a source may send, can only be escaped. So can most of the
        # rest where the locale has no UTF-8.
        text = simplejson.dumps(document, use_decimal=True, ensure_ascii=True, indent=2)
    click.echo(text)


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> None:
    """A table on standard output; what a cell holds is shown as text, never as markup."""
    show(table(columns, rows, title=title))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> Table:
    """The table that `show_table` shows. A cell may be a `Text` with a style of its own."""
    shown = Table(
        # As `Text`, as a title that is a string would be read as markup.
        title=None if title is None else Text(title.translate(VISIBLE), style="bold"),
        title_justify="left",
        header_style="bold",
    )
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(
            *(
                value if isinstance(value, Text) else Text(_cell(value).translate(VISIBLE))
                for value in row
            )
        )
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, dict):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    return str(value)


@contextmanager
def download_bar(what: str) -> Iterator[DownloadReport]:
    """A progress bar on standard error for bytes that come; it appears with the first ones."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=error_console(),
        transient=False,
    )
    task = None

    def report(done: int, total: int | None) -> None:
        nonlocal task
        if task is None:
            bar.start()
            task = bar.add_task(what, total=total)
        bar.update(task, completed=done, total=total)

    try:
        yield report
    finally:
        if task is not None:
            bar.stop()


def work_bar(out: Console, *columns: ProgressColumn) -> Progress:
    """A bar for long work, with what else it shows; gone when the work is done."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        *columns,
        console=out,
        transient=True,
        # In a log it would leave nothing but empty lines.
        disable=not out.is_terminal,
    )


class Reading:
    """How far a file has been read, and what came of it, as a bar on standard error."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def lines(self, stream: BinaryIO) -> Iterator[bytes]:
        """The lines of the file; the bar goes on with each."""
        for line in stream:
            yield line
            self._progress.advance(self._task, len(line))

    def done(self, number: int) -> None:
        """Show how many were dealt with."""
        self._progress.update(self._task, done=f"{number:,}")


@contextmanager
def reading(stream: BinaryIO, name: str, what: str) -> Iterator[Reading]:
    """A bar for work that goes through a file; gone when it is done.

    Args:
        stream: the file. Of a pipe it is not known how long it is; there the bar only moves.
        name: shown before the bar.
        what: is counted, such as ``events``.
    """
    columns = TextColumn("{task.fields[done]} " + what), TimeRemainingColumn()
    with work_bar(error_console(), *columns) as progress:
        yield Reading(progress, progress.add_task(name, total=_size_of(stream), done="0"))


def _size_of(stream: BinaryIO) -> int | None:
    try:
        found = os.fstat(stream.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
