"""Conditional writes with an outcome.

A write is a small state machine: it names the actions to send (all or none), and is told whether
they were done or which of them were refused by what stored item. It then knows its outcome, or
names other actions. Sending them is the business of `send` here and of `send_many` in
`quill_models.writes.bulk`, which know nothing of outcomes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from quill_models.writes.actions import Action, Refusal

__all__ = ["Write"]

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
