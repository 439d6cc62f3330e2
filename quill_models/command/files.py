"""The files that a command reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import click

from quill_models.values.errors import InvalidPayload, QuillError
from quill_models.writes.results import PartialWriteError

__all__ = ["files_argument", "go_through", "opened"]


def files_argument(metavar: str) -> Callable[[Any], Any]:
    """The argument ``files``: one or more that are there, or ``-``."""
    return click.argument(
        "files",
        metavar=metavar,
        nargs=-1,
        required=True,
        type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
    )


def go_through(files: Iterable[str], work: Callable[[str], None]) -> list[QuillError]:
    """Work on one file after the other, past those with an error in them.

    Returns:
        What failed. Where the last one is not about its file, those after it were not begun, as
        it would have been the same with them.
    """
    failed: list[QuillError] = []
    for file in files:
        try:
            work(file)
        except InvalidPayload as error:
            failed.append(error.in_source(file))
        except PartialWriteError as error:
            message = f"{file}: {error} Run the same command again."
            failed.append(PartialWriteError(message, results=error.results, pending=error.pending))
            break
        except QuillError as error:
            failed.append(error)
            break
    return failed


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """A file, or standard input for ``-``, to be read as bytes.

    Raises:
        InvalidPayload: it cannot be read.
    """
    if file == "-":
        if sys.stdin is None:
            raise InvalidPayload("cannot be read: standard input is closed")
        yield sys.stdin.buffer
        return
    try:
        # Closed by whoever leaves the block, not here.
        stream = open(file, "rb")  # noqa: PTH123, SIM115
    except OSError as error:
        raise InvalidPayload(f"cannot be read: {error.strerror}") from error
    with stream:
        yield stream
