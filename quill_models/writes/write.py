"""The write: a small state machine with an outcome.

A write provides actions, which are sent together or not at all, and gets their result. Then it has
its outcome, or provides other actions. `quill_models.writes.driver` sends the actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from quill_models.dynamodb.items import RawItem, creator_of, token_of
from quill_models.writes.actions import Action, Refusal

__all__ = ["Write"]

R = TypeVar("R")


class Write(ABC, Generic[R]):
    """One write in progress.

    Attributes:
        actions: The actions to send, all or none of which will succeed.
        token: The token stored with each item of the write, the same in all attempts.
    """

    actions: Sequence[Action]
    token: str
    fixed_keys: bool = False
    """Whether the first actions have all keys that the write can ever touch."""

    @abstractmethod
    def done(self, stored: RawItem | None = None) -> R:
        """Return the outcome after the actions have succeeded.

        Args:
            stored: The stored item, if it shows that a lost response was a success. Other writers
                may have rewritten it since.
        """

    @abstractmethod
    def refused(self, refusals: Sequence[Refusal | None]) -> R | None:
        """Return the outcome, or ``None`` if `actions` now has other actions.

        Args:
            refusals: For each action its refusal, or ``None`` if it did not fail.
        """

    def settle(self, refusals: Sequence[Refusal | None]) -> R | None:
        """Return the outcome of refused actions, or ``None`` if `actions` now has other actions.

        If an earlier attempt succeeded but its response was lost, a refusal has an item with the
        token of this write. Then the write has succeeded.
        """
        for refusal in refusals:
            item = None if refusal is None else refusal.item
            if item and self.token in {token_of(item), creator_of(item)}:
                return self.done(item)
        return self.refused(refusals)
