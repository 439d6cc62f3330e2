"""Replacing a stored item by its next state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from quill_models.dynamodb.items import Condition, RawItem, new_token
from quill_models.dynamodb.table import Table
from quill_models.models import QuillModel
from quill_models.writes.actions import Put, Refusal
from quill_models.writes.write import Write

__all__ = ["Rewrite"]

M = TypeVar("M", bound=QuillModel)


class Rewrite(Write[M], Generic[M]):
    """Write the next state of an item, if it is unchanged since it was read.

    Attributes:
        model: The next state.
    """

    fixed_keys = True

    def __init__(self, table: Table, last: M) -> None:
        self.token = new_token()
        self._table = table
        self._follow(last)

    @abstractmethod
    def change(self, model: M) -> None:
        """Change a copy of the last state into the next one."""

    @abstractmethod
    def met(self, item: RawItem | None) -> M | None:
        """Return the outcome, or ``None`` after `_follow`, for a changed or missing item."""

    def condition(self, last: M) -> Condition:
        """Return the condition under which the next state may replace the last one."""
        return Condition.unchanged_since(last.write_token)

    def _follow(self, last: M) -> None:
        """Set the write to follow a state."""
        self.model = last.copy()
        self.change(self.model)
        self.model.stamp(self._table, last.created_at, token=self.token)
        item = self.model.to_item(self._table.shards)
        self.actions = [Put(item, self.condition(last))]

    def done(self, stored: RawItem | None = None) -> M:  # noqa: ARG002
        """See `Write.done`."""
        return self.model

    def refused(self, refusals: Sequence[Refusal | None]) -> M | None:
        """See `Write.refused`."""
        return self.met(None if refusals[0] is None else refusals[0].item)
