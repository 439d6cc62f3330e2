"""The actions of several writes, put together into one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from quill_models.actions import (
    TRANSACTION_ACTIONS,
    TRANSACTION_BYTES,
    Action,
    Add,
    NotDone,
    Refusal,
    do_all,
)
from quill_models.keys import Key
from quill_models.table import Table

__all__ = ["TransactionPlan"]


class TransactionPlan:
    """Writes, by number, whose actions are all done or none of them.

    Additions to one item become one action.

    Attributes:
        writes: the actions of each write.
    """

    def __init__(self, limit: int = TRANSACTION_ACTIONS) -> None:
        self._limit = limit
        self._actions: list[Action] = []
        self._size = 0
        # Where each write's actions are among them, and the additions to each item.
        self._places: dict[int, list[int]] = {}
        self._adds: dict[Key, int] = {}
        self.writes: dict[int, Sequence[Action]] = {}

    def takes(self, at: int, own: Sequence[Action]) -> bool:
        """Take a write in; ``False`` where it no longer fits. The first one always does."""
        merged: dict[int, Action] = {}
        new: list[Action] = []
        places: list[int] = []
        for action in own:
            place = self._adds.get(action.key) if isinstance(action, Add) else None
            before = None if place is None else self._actions[place]
            if place is None or not isinstance(before, Add) or not isinstance(action, Add):
                places.append(len(self._actions) + len(new))
                new.append(action)
                continue
            both = before.merged(action)
            if both is None:
                return False
            merged[place] = both
            places.append(place)
        size = self._size + sum(action.size for action in new)
        if self.writes and (
            len(self._actions) + len(new) > self._limit or size > TRANSACTION_BYTES
        ):
            return False
        for place, action in merged.items():
            self._actions[place] = action
        self._actions += new
        self._size = size
        self._adds |= {
            action.key: place
            for action, place in zip(own, places, strict=True)
            if isinstance(action, Add)
        }
        self._places[at], self.writes[at] = places, own
        return True

    def send(self, table: Table) -> NotDone | None:
        """Do all, or nothing and say why, action by action."""
        return do_all(table, self._actions)

    def refusals_of(self, at: int, not_done: NotDone) -> list[Refusal | None]:
        """What one write's actions met."""
        return [not_done.refusals[place] for place in self._places[at]]

    def crowded(self, not_done: NotDone) -> set[int]:
        """The writes that other writers or throttling kept out."""
        return {
            at for at, places in self._places.items() if any(not_done.busy[at] for at in places)
        }

    def crowded_keys(self, not_done: NotDone) -> set[Key]:
        """What they were kept out of."""
        return {
            action.key for action, busy in zip(self._actions, not_done.busy, strict=True) if busy
        }
