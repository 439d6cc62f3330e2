"""The files that a command reads."""

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

__all__ = ["files_argument", "go_through", "reading"]

T = TypeVar("T")


def files_argument(metavar: str) -> Callable[[Any], Any]:
    """The argument ``files``: one or more that are there, or ``-``."""
    return click.argument(
        "files",
        metavar=metavar,
        nargs=-1,
        required=True,
        type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
    )


def go_through(
    files: Iterable[str], work: Callable[[Quill, str], T]
) -> tuple[list[tuple[str, T]], list[QuillError]]:
    """Work on one file after the other, past those with an error in them.

    Any other error would be the same with the files after it, which are not begun.
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
                says = f"{file}: {error} Run the same command again."
                failed.append(PartialWriteError(says, results=error.results, pending=error.pending))
                break
            except QuillError as error:
                failed.append(error)
                break
    return done, failed


@contextmanager
def reading(
    file: str, what: str, *, kept: str
) -> Iterator[tuple[Iterable[bytes], Callable[[int], None]]]:
    """The lines of a file, or of standard input for ``-``, and a bar's count of what is done."""
    says = f"Interrupted. What was {kept} stays; run the same command again for the rest."
    with (
        interruptible(says),
        _open(file) as stream,
        work_bar(Path(file).name, TimeRemainingColumn(), total=_size_of(stream)) as update,
    ):

        def lines() -> Iterator[bytes]:
            for line in stream:
                yield line
                update(advance=len(line))

        def done(number: int) -> None:
            update(told=f"{number:,} {what}")

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
    """The bytes of a file; of a pipe they are not known."""
    try:
        found = os.fstat(stream.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
