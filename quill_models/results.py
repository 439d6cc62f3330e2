"""What a write did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

__all__ = ["Outcome", "WriteResult"]

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
