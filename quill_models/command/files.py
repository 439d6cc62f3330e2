"""The files that a command reads."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
from rich.progress import TimeRemainingColumn

from quill_models.command.failures import interruptible
from quill_models.command.output import work_bar
from quill_models.values.errors import InvalidPayload, QuillError
from quill_models.writes.results import PartialWriteError

__all__ = ["Reading", "files_argument", "go_through", "reading"]

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
    files: Iterable[str], work: Callable[[str], T]
) -> tuple[list[tuple[str, T]], list[QuillError]]:
    """Work on one file after the other, past those with an error in them.

    Returns:
        Each file that was done with what came of it, and the errors. If the last one is not about
        its file, those after it were not begun, as it would have been the same with them.
    """
    done: list[tuple[str, T]] = []
    failed: list[QuillError] = []
    for file in files:
        try:
            done.append((file, work(file)))
        except InvalidPayload as error:
            failed.append(error.in_source(file))
        except PartialWriteError as error:
            message = f"{file}: {error} Run the same command again."
            failed.append(PartialWriteError(message, results=error.results, pending=error.pending))
            break
        except QuillError as error:
            failed.append(error)
            break
    return done, failed


class Reading:
    """The lines of a file, with a bar that shows how far it is read and what came of it."""

    def __init__(self, stream: BinaryIO, update: Callable[..., None], what: str) -> None:
        self._stream = stream
        self._update = update
        self._what = what

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield line
            self._update(advance=len(line))

    def done(self, number: int) -> None:
        """Show how many were dealt with."""
        self._update(told=f"{number:,} {self._what}")


@contextmanager
def reading(file: str, what: str, *, kept: str) -> Iterator[Reading]:
    """Read a file, or standard input for ``-``.

    Args:
        file: Its name.
        what: What is counted, such as ``events``.
        kept: What has become of them if Ctrl-C is pressed, such as ``stored``.

    Raises:
        InvalidPayload: It cannot be read.
        Interrupted: Ctrl-C was pressed.
    """
    says = f"Interrupted. What was {kept} stays; run the same command again for the rest."
    with interruptible(says), _opened(file) as stream:
        columns = TimeRemainingColumn()
        with work_bar(Path(file).name, columns, total=_size_of(stream)) as update:
            lines = Reading(stream, update, what)
            lines.done(0)
            yield lines


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        if sys.stdin is None:
            raise InvalidPayload("cannot be read: standard input is closed")
        yield sys.stdin.buffer
        return
    try:
        # Closed below; an error inside the block is not one of opening.
        stream = open(file, "rb")  # noqa: PTH123, SIM115
    except OSError as error:
        raise InvalidPayload(f"cannot be read: {error.strerror}") from error
    with stream:
        yield stream


def _size_of(stream: BinaryIO) -> int | None:
    """The bytes of a file; of a pipe they are not known."""
    try:
        found = os.fstat(stream.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
