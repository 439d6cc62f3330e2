"""Results of writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from quill_models.values.errors import QuillError

__all__ = ["Outcome", "PartialWriteError", "TransactionRefused", "WriteResult"]

M = TypeVar("M")


class Outcome(StrEnum):
    """The outcome of a write."""

    CREATED = "created"
    """No item, or an expired one, was stored; this call stored the item."""
    UPDATED = "updated"
    """This call replaced an older item."""
    UNCHANGED = "unchanged"
    """An equal item is stored; nothing was written."""
    DUPLICATE = "duplicate"
    """The same identity and content is stored; nothing was written."""
    CONFLICT = "conflict"
    """The same identity is stored with other content; nothing was written."""
    STALE = "stale"
    """A newer item is stored; nothing was written."""


@dataclass(frozen=True)
class WriteResult(Generic[M]):
    """The outcome of a write, and the stored item.

    Attributes:
        outcome: See `Outcome`.
        item: The stored model. If an external id belongs to another item (``conflict``), that item.
    """

    outcome: Outcome
    item: M

    @property
    def created(self) -> bool:
        """Whether this call created the item. True for exactly one call."""
        return self.outcome is Outcome.CREATED


class PartialWriteError(QuillError):
    """The table stopped responding during a bulk write.

    Attributes:
        results: The known results, each a `WriteResult`, in input order.
        pending: The inputs whose outcome is unknown. You can retry them safely.
    """

    __module__ = "quill_models.errors"

    def __init__(self, message: str, *, results: Sequence[Any], pending: Sequence[Any]) -> None:
        self.results: Sequence[WriteResult[Any]] = results
        self.pending = pending
        super().__init__(message)


class TransactionRefused(QuillError):
    """A write of a transaction is a conflict, so nothing was written.

    Attributes:
        result: The `WriteResult` of the conflict. Its ``item`` is the stored item.
    """

    __module__ = "quill_models.errors"

    def __init__(self, message: str, *, result: WriteResult[Any]) -> None:
        self.result = result
        super().__init__(message)
