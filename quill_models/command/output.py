"""What the command shows: tables for people, one JSON document for programs, bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click
import simplejson
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from quill_models.local.downloads import DownloadReport

__all__ = [
    "VISIBLE",
    "console",
    "counted",
    "download_bar",
    "json_option",
    "limit_option",
    "print_json",
    "show",
    "show_error",
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


def _remember(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
    # For all commands of the line: what shows a result or an error has no parameters of theirs.
    if value:
        context.meta[_AS_JSON] = True


json_option = click.option(
    "--json", is_flag=True, expose_value=False, callback=_remember, help="Print one JSON document."
)


def wants_json() -> bool:
    """Whether ``--json`` was given, to a command or to one of its subcommands."""
    return bool(click.get_current_context().meta.get(_AS_JSON))


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


def console(*, stderr: bool = False) -> Console:
    """Standard output or standard error. Colours and the terminal's width if it is a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    # There is no stream if the shell has closed it.
    width = None if stream is not None and stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, emoji=False)


def show(what: RenderableType) -> None:
    """Show tables and styled texts on standard output; a ``str`` as it is, never as markup."""
    out = console()
    if isinstance(what, str):
        click.echo(what)
    elif out.is_terminal:
        out.print(what)
    else:
        with out.capture() as shown:
            out.print(what)
        # Rich fills each line up to the width of what it belongs to.
        click.echo("\n".join(line.rstrip() for line in shown.get().splitlines()))


def show_error(error: BaseException | str) -> None:
    """One message on standard error."""
    console(stderr=True).print(Text.assemble(("Error:", "bold red"), f" {error}"), soft_wrap=True)


def print_json(document: Any) -> None:
    """The one JSON document of a command on standard output."""
    text = simplejson.dumps(document, use_decimal=True, ensure_ascii=False, indent=2)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        # Unpaired surrogates, and what the locale's encoding lacks, can only be escaped.
        text = simplejson.dumps(document, use_decimal=True, ensure_ascii=True, indent=2)
    click.echo(text)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any] | Mapping[str, Any]],
    *,
    title: str | None = None,
) -> Table:
    """A table; what a cell holds is shown as text, never as markup, but a `Text` has its style."""
    shown = Table(
        # As `Text`, as a title that is a string would be read as markup.
        title=None if title is None else Text(title.translate(VISIBLE), style="bold"),
        title_justify="left",
        header_style="bold",
    )
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        values = [row[column] for column in columns] if isinstance(row, Mapping) else row
        shown.add_row(*map(_cell, values))
    return shown


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if isinstance(value, datetime):
        value = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    elif isinstance(value, dict):
        value = ", ".join(f"{name}: {inner}" for name, inner in value.items())
    return Text(("" if value is None else str(value)).translate(VISIBLE))


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2,000 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def download_bar() -> Iterator[DownloadReport]:
    """A bar on standard error for a download of DynamoDB Local; it appears with the first bytes."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=console(stderr=True),
    )
    task = bar.add_task("Fetching DynamoDB Local", total=None)

    def report(done: int, total: int | None) -> None:
        bar.update(task, completed=done, total=total)
        bar.start()

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def work_bar(
    name: str, *columns: ProgressColumn, total: int | None = None, visible: bool = True
) -> Iterator[Callable[..., None]]:
    """A bar on standard error for long work. Its ``update`` takes ``told``, a text behind it."""
    out = console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}", markup=False),
        *columns,
        console=out,
        transient=True,
        # In a log it would leave nothing but empty lines.
        disable=not out.is_terminal,
    ) as bar:
        yield partial(bar.update, bar.add_task(name, total=total, visible=visible, told=""))
