"""Output of the command: tables, one JSON document, progress bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click
import simplejson
from rich import progress
from rich.console import Console, RenderableType
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

# For pipes, which have no width. Wide enough for logs.
_PIPE_WIDTH = 200
# Stored text may contain escape sequences, which must not reach the terminal.
VISIBLE = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}
_AS_JSON = "quill_models.as_json"


def _remember(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
    # In the context, because the functions that print have no access to the parameters.
    if value:
        context.meta[_AS_JSON] = True


json_option = click.option(
    "--json", is_flag=True, expose_value=False, callback=_remember, help="Print one JSON document."
)


def wants_json() -> bool:
    """Return whether ``--json`` was given to the command or a subcommand."""
    return bool(click.get_current_context().meta.get(_AS_JSON))


def limit_option(default: int, text: str) -> Callable[[Any], Any]:
    """Return the option ``--limit``, the maximum number of shown items."""
    return click.option(
        "--limit",
        metavar="NUMBER",
        # For more items, use quill export.
        type=click.IntRange(1, 1_000_000),
        default=default,
        show_default=True,
        help=text,
    )


def console(*, stderr: bool = False) -> Console:
    """Return standard output or standard error. A terminal has colours and its width."""
    stream = sys.stderr if stderr else sys.stdout
    # Without a stream if the shell has closed it.
    width = None if stream is not None and stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, emoji=False)


def show(output: RenderableType) -> None:
    """Print tables and styled texts on standard output. A ``str`` is never markup."""
    out = console()
    if isinstance(output, str):
        click.echo(output)
    elif out.is_terminal:
        out.print(output)
    else:
        with out.capture() as shown:
            out.print(output)
        # Rich pads each line with spaces.
        click.echo("\n".join(line.rstrip() for line in shown.get().splitlines()))


def show_error(error: BaseException | str) -> None:
    """Print an error message on standard error."""
    console(stderr=True).print(Text.assemble(("Error:", "bold red"), f" {error}"), soft_wrap=True)


def print_json(document: Any) -> None:
    """Print the JSON document of a command on standard output."""
    text = simplejson.dumps(document, use_decimal=True, ensure_ascii=False, indent=2)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        # Escape unpaired surrogates and characters that the locale cannot encode.
        text = simplejson.dumps(document, use_decimal=True, ensure_ascii=True, indent=2)
    click.echo(text)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any] | Mapping[str, Any]],
    *,
    title: str | None = None,
) -> Table:
    """Build a table. Cells are never markup, but a `Text` keeps its style."""
    shown = Table(
        # A title that is a `str` would be markup.
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
    """Return a number with a noun, such as ``1 file`` or ``2,000 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def download_bar() -> Iterator[DownloadReport]:
    """Show a bar on standard error when the download of DynamoDB Local starts."""
    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        console=console(stderr=True),
    )
    task = bar.add_task("Downloading DynamoDB Local", total=None)

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
    name: str, *columns: progress.ProgressColumn, total: int | None = None, visible: bool = True
) -> Iterator[Callable[..., None]]:
    """Show a bar on standard error. The yielded function updates it, and its text ``status``."""
    out = console(stderr=True)
    with progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[status]}", markup=False),
        *columns,
        console=out,
        transient=True,
        # In a log it would only write empty lines.
        disable=not out.is_terminal,
    ) as bar:
        yield partial(bar.update, bar.add_task(name, total=total, visible=visible, status=""))
