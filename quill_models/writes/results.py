"""What a write did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from quill_models.values.errors import QuillError

__all__ = ["Outcome", "PartialWriteError", "TransactionRefused", "WriteResult"]

M = TypeVar("M")


class Outcome(StrEnum):
    """What a write did."""

    CREATED = "created"
    """There was none, or an expired one; this call stored it."""
    UPDATED = "updated"
    """There was an older one; this call replaced it."""
    UNCHANGED = "unchanged"
    """There was an equal one; nothing was written."""
    DUPLICATE = "duplicate"
    """Same identity and same content; nothing was written."""
    CONFLICT = "conflict"
    """Same identity and other content; nothing was overwritten."""
    STALE = "stale"
    """Older than what is stored; nothing was overwritten."""


@dataclass(frozen=True)
class WriteResult(Generic[M]):
    """What a write did, and what is stored now.

    Attributes:
        outcome: see `Outcome`.
        item: the model as it is stored now. For a ``conflict`` over an id that belongs to
            another item, that other item.
    """

    outcome: Outcome
    item: M

    @property
    def created(self) -> bool:
        """Whether this call, and no other, created the item."""
        return self.outcome is Outcome.CREATED


class PartialWriteError(QuillError):
    """The table stopped answering in the middle of a bulk write.

    Attributes:
        results: what is known: the `WriteResult` of each input whose outcome is, in order.
        pending: the inputs whose outcome is unknown. Sending them again is always safe.
    """

    __module__ = "quill_models.errors"

    def __init__(self, message: str, *, results: Sequence[Any], pending: Sequence[Any]) -> None:
        self.results: Sequence[WriteResult[Any]] = results
        self.pending = pending
        super().__init__(message)


class TransactionRefused(QuillError):
    """Something in a transaction is a conflict, so that none of it was written.

    Attributes:
        result: the `WriteResult` that is one; its ``item`` is what stands in the way.
    """

    __module__ = "quill_models.errors"

    def __init__(self, message: str, *, result: WriteResult[Any]) -> None:
        self.result = result
        super().__init__(message)
