"""Input files of a command."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import click
from rich.progress import TimeRemainingColumn

from quill_models.command.failures import interruptible
from quill_models.command.output import work_bar
from quill_models.quill import Quill, connect
from quill_models.values.errors import InvalidPayload, QuillError
from quill_models.writes.results import PartialWriteError

__all__ = ["files_argument", "process_files", "reading"]

T = TypeVar("T")


def files_argument(metavar: str) -> Callable[[Any], Any]:
    """Return the argument ``files``: one or more existing files, or ``-``."""
    return click.argument(
        "files",
        metavar=metavar,
        nargs=-1,
        required=True,
        type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
    )


def process_files(
    files: Iterable[str], work: Callable[[Quill, str], T]
) -> tuple[list[tuple[str, T]], list[QuillError]]:
    """Call ``work`` for each file, and skip files with invalid content.

    Any other error stops the loop, because the next files would fail in the same way.
    """
    done: list[tuple[str, T]] = []
    failed: list[QuillError] = []
    with connect() as quill:
        for file in files:
            try:
                done.append((file, work(quill, file)))
            except InvalidPayload as error:
                failed.append(error.in_source(file))
            except PartialWriteError as error:
                message = f"{file}: {error} Run the same command again."
                results, pending = error.results, error.pending
                failed.append(PartialWriteError(message, results=results, pending=pending))
                break
            except QuillError as error:
                failed.append(error)
                break
    return done, failed


@contextmanager
def reading(
    file: str, noun: str, *, kept: str
) -> Iterator[tuple[Iterable[bytes], Callable[[int], None]]]:
    """Yield the lines of a file (``-``: standard input), and a function that updates the bar."""
    message = f"Interrupted. All {noun} {kept} so far are kept. Run the same command again."
    with (
        interruptible(message),
        _open(file) as stream,
        work_bar(Path(file).name, TimeRemainingColumn(), total=_size_of(stream)) as update,
    ):

        def lines() -> Iterator[bytes]:
            for line in stream:
                yield line
                update(advance=len(line))

        def done(number: int) -> None:
            update(status=f"{number:,} {noun}")

        done(0)
        yield lines(), done


def _open(file: str) -> IO[Any]:
    try:
        return click.open_file(file, "rb")
    except OSError as error:
        raise InvalidPayload(f"cannot be read: {error.strerror}") from error
    except RuntimeError:
        raise InvalidPayload("cannot be read: standard input is closed") from None


def _size_of(stream: IO[Any]) -> int | None:
    """Return the size of a file in bytes, or None for a pipe."""
    try:
        found = os.fstat(stream.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
