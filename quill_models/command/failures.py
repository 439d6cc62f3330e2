"""The result of a command: output, errors and exit status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import RenderableType

from quill_models.command.output import print_json, show, show_error, wants_json
from quill_models.values.errors import InvalidPayload, QuillError

__all__ = ["FAILED", "INTERRUPTED", "Failed", "Interrupted", "interruptible", "report"]

FAILED = 1
# The status that shells give to a program ended by Ctrl-C.
INTERRUPTED = 130


class Interrupted(QuillError):
    """The user pressed Ctrl-C."""


class Failed(QuillError):
    """A failed part of a command. ``kind`` is the ``type`` in JSON, ``about`` further fields."""

    def __init__(self, reason: str, *, kind: str, **about: str) -> None:
        self.kind = kind
        self.about = about
        super().__init__(reason)


@contextmanager
def interruptible(message: str) -> Iterator[None]:
    """Raise `Interrupted` with a message if Ctrl-C is pressed in the block."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(message) from None


def report(
    document: dict[str, Any],
    *output: RenderableType,
    notes: Iterable[str] = (),
    errors: Sequence[QuillError] = (),
) -> None:
    """Print the document with ``--json``, else the output and notes. Exit if there are errors."""
    if wants_json():
        failed = {"errors": [_document(each) for each in errors]} if errors else {}
        print_json({**document, **failed})
    else:
        for each in output:
            show(each)
        for note in notes:
            click.echo(note, err=True)
    for error in errors:
        show_error(error)
    if errors:
        interrupted = any(isinstance(each, Interrupted) for each in errors)
        raise SystemExit(INTERRUPTED if interrupted else FAILED)


def _document(error: QuillError) -> dict[str, Any]:
    kind, reason = type(error).__name__, str(error)
    about: Mapping[str, str | None] = {}
    if isinstance(error, Failed):
        kind, about = error.kind, error.about
    elif isinstance(error, InvalidPayload):
        reason, about = error.reason, {"file": error.source, "position": error.position}
    return {"type": kind, **about, "reason": reason}
