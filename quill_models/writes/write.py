"""The write: a small state machine with an outcome.

A write names the actions to send, all or none of which are done, and learns what happened to them.
It then has its outcome, or names other actions. `quill_models.writes.driver` sends the actions and
knows nothing of outcomes.
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
        actions: What to send now: all or none of it will be done.
        token: Stored with each item that the write puts, and the same in all its attempts.
    """

    actions: Sequence[Action]
    token: str
    fixed_keys: bool = False
    """Whether the keys of its first actions are all that it will ever write to."""

    @abstractmethod
    def done(self, stored: RawItem | None = None) -> R:
        """Return the outcome, once the actions were done.

        Args:
            stored: The item as it is stored now, if a lost response was recognised by it. Other
                writers may have rewritten it since.
        """

    @abstractmethod
    def refused(self, refusals: Sequence[Refusal | None]) -> R | None:
        """Return the outcome, or ``None`` if `actions` now names others.

        Args:
            refusals: For each action its refusal; ``None`` for an action that was not at fault.
        """

    def settle(self, refusals: Sequence[Refusal | None]) -> R | None:
        """Return the outcome of actions that were refused, or ``None`` if `actions` names others.

        The response to an earlier attempt may have been lost, although DynamoDB did the write.
        Then the refusal shows the write's own item, by its token: the write is done.
        """
        for refusal in refusals:
            item = None if refusal is None else refusal.item
            if item and self.token in {token_of(item), creator_of(item)}:
                return self.done(item)
        return self.refused(refusals)
