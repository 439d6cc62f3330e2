"""The conditional put of one item."""

from __future__ import annotations

from collections.abc import Sequence

from quill_models.dynamodb.items import WRITE_TOKEN, Condition, RawItem, new_token
from quill_models.dynamodb.table import Table
from quill_models.writes.actions import Put, Refusal
from quill_models.writes.write import Write

__all__ = ["PutIfAbsent"]


class PutIfAbsent(Write[bool]):
    """Store an item if there is none, or only an expired one; ``True`` if this write did."""

    fixed_keys = True

    def __init__(self, table: Table, item: RawItem) -> None:
        self.token = new_token()
        self._table = table
        self._item: RawItem = {**item, WRITE_TOKEN: {"S": self.token}}
        self._put()

    def _put(self) -> None:
        self.actions = [Put(self._item, Condition.absent(self._table.clock()))]

    def done(self, stored: RawItem | None = None) -> bool:  # noqa: ARG002
        """See `Write.done`."""
        return True

    def refused(self, refusals: Sequence[Refusal | None]) -> bool | None:
        """See `Write.refused`."""
        if refusals[0] is not None and refusals[0].item is not None:
            return False
        self._put()
        return None
