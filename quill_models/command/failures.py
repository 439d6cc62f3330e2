"""How a command fails: a message for people, the errors that programs read, the exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from quill_models.command.output import print_json, show_error
from quill_models.values.errors import InvalidPayload, QuillError

__all__ = ["FAILED", "INTERRUPTED", "Failed", "Interrupted", "fail", "interruptible"]

FAILED = 1
# What shells make of a program that Ctrl-C has ended.
INTERRUPTED = 130


class Interrupted(QuillError):
    """Ctrl-C was pressed."""


class Failed(QuillError):
    """One thing that a command was to do, and could not.

    Attributes:
        kind: of the failure, the ``type`` that programs read.
        about: what it is about, by names that programs read.
    """

    def __init__(self, reason: str, *, kind: str, **about: str) -> None:
        self.kind = kind
        self.about = about
        super().__init__(reason)


@contextmanager
def interruptible(says: str) -> Iterator[None]:
    """What Ctrl-C means for work that goes on elsewhere, or can be taken up again.

    Raises:
        Interrupted: it was pressed; says so.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(says) from None


def fail(*errors: QuillError, as_json: bool, document: dict[str, Any] | None = None) -> NoReturn:
    """End a command in which something failed.

    Args:
        errors: what failed, each a message on standard error.
        as_json: whether a program reads standard output; then they are there, too.
        document: what came of the command all the same. If not as JSON, it has been shown.
    """
    if as_json:
        print_json({**(document or {}), "errors": [_document(each) for each in errors]})
    for each in errors:
        show_error(each)
    interrupted = any(isinstance(each, Interrupted) for each in errors)
    raise SystemExit(INTERRUPTED if interrupted else FAILED)


def _document(error: QuillError) -> dict[str, Any]:
    if isinstance(error, Failed):
        return {"type": error.kind, **error.about, "reason": str(error)}
    kind = type(error).__name__
    if isinstance(error, InvalidPayload):
        place = {"file": error.source, "position": error.position}
        return {"type": kind, **place, "reason": error.reason}
    return {"type": kind, "reason": str(error)}
