"""Conditional writes with an outcome.

A write is a small state machine: it names the actions to send (all or none), and is told whether
they were done or which of them were refused by what stored item. It then knows its outcome, or
names other actions. Sending them is the business of `send` here and of `send_many` in
`quill_models.bulk_writes`, which know nothing of outcomes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar

from quill_models.actions import Action, Refusal, check_action, do_one
from quill_models.backoff import Backoff
from quill_models.errors import QuillError, Throttled
from quill_models.table import Table

__all__ = ["Write", "contended", "send"]

R = TypeVar("R")


class Write(ABC, Generic[R]):
    """One write in progress."""

    fixed_keys: bool = False
    """Whether the keys of its first actions are all that it will ever write to."""

    @abstractmethod
    def actions(self) -> Sequence[Action]:
        """What to send now: all or none of it will be done."""

    @abstractmethod
    def done(self) -> R:
        """The outcome, once the actions were done."""

    @abstractmethod
    def refused(self, refusals: Sequence[Refusal | None]) -> R | None:
        """The outcome, once actions were refused; ``None`` where `actions` now names others.

        Args:
            refusals: for each action its refusal, or ``None`` where it was not at fault.
        """


def send(table: Table, write: Write[R]) -> R:
    """Carry out one write: a plain request where one action does, else a transaction.

    Raises:
        Throttled: other writers kept changing the item until the deadline.
        QuillError: see `quill_models.errors`.
    """
    backoff = Backoff(table.settings.deadline)
    told = False
    while True:
        actions = write.actions()
        for action in actions:
            check_action(action)
        not_done = do_one(table, actions)
        if not_done is None:
            return write.done()
        if any(not_done.refusals):
            result = write.refused(not_done.refusals)
            if result is not None:
                return result
            if not told:
                # It knows better now, and need not wait for anybody.
                told = True
                continue
        if not backoff.wait("Contention"):
            raise contended(write, table.settings.deadline)


def contended(write: Write[Any], deadline: timedelta) -> QuillError:
    """The error for a write that other writers kept out until the deadline."""
    key = write.actions()[0].key
    return Throttled(
        f"Other writers kept changing {key.pk} / {key.sk} for {deadline.total_seconds():g} seconds "
        "(QUILL_DEADLINE_SECONDS). Sending it again is safe."
    )
