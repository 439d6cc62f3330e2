"""Conditional writes with an outcome.

A write is a small state machine: it names the actions to send (all or none), and is told whether
they were done or which of them were refused by what stored item. It then knows its outcome, or
names other actions. Sending them is the business of `send` here and of `send_many` in
`quill_models.bulk_writes`, which know nothing of outcomes.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from quill_models.actions import Action, Refusal, check_action, do_one
from quill_models.errors import QuillError, Throttled
from quill_models.table import Table

__all__ = ["RETRIES", "Write", "contended", "send", "wait"]

RETRIES = 12
_RETRY_SECONDS = 0.05
_RETRY_LIMIT_SECONDS = 2.0

R = TypeVar("R")


class Write(ABC, Generic[R]):
    """One write in progress."""

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
        Throttled: other writers kept changing the item through all tries.
        QuillError: see `quill_models.errors`.
    """
    for attempt in range(RETRIES):
        actions = write.actions()
        for action in actions:
            check_action(action)
        refusals = do_one(table, actions)
        if refusals is None:
            return write.done()
        if any(refusals):
            result = write.refused(refusals)
            if result is not None:
                return result
        if attempt:
            wait(attempt)
    raise contended(write)


def wait(attempt: int) -> None:
    """Let a collision pass: longer with each attempt, and never the same time for two."""
    longest = min(_RETRY_LIMIT_SECONDS, _RETRY_SECONDS * 2**attempt)
    # Jitter keeps writers that collided from colliding again; nothing secret about it.
    time.sleep(random.uniform(0, longest))  # noqa: S311


def contended(write: Write[Any]) -> QuillError:
    """The error for a write that other writers kept out through all tries."""
    key = write.actions()[0].key
    return Throttled(
        f"Other writers kept changing {key.pk} / {key.sk} through {RETRIES} tries. "
        "Sending it again is safe."
    )
