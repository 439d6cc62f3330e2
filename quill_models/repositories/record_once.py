"""Recording facts, which never change: stored once, with repetitions recognised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from quill_models.dynamodb.items import Condition, RawItem
from quill_models.dynamodb.table import Table
from quill_models.models import QuillModel
from quill_models.repositories.external_ids import from_claim, put_claims
from quill_models.writes.actions import Put, Refusal
from quill_models.writes.results import Outcome, WriteResult
from quill_models.writes.write import Write

__all__ = ["RecordOnce"]

M = TypeVar("M", bound=QuillModel)


class RecordOnce(Write[WriteResult[M]], Generic[M]):
    """Store a model if its identity is free: `created`, `duplicate` or `conflict`."""

    fixed_keys = True

    def __init__(self, table: Table, model: M) -> None:
        self.model = model.copy()
        self.token = self.model.stamp(table)
        item = self.model.to_item(table.shards)
        self.actions = [Put(item, Condition.absent(table.clock()))]
        if model.MAY_HAVE_EXTERNAL_IDS:
            self.actions += put_claims(self.model, item)

    def done(self, stored: RawItem | None = None) -> WriteResult[M]:
        """See `Write.done`."""
        model = self.model if stored is None else self.model.from_item(stored)
        return WriteResult(Outcome.CREATED, model)

    def refused(self, refusals: Sequence[Refusal | None]) -> WriteResult[M] | None:
        """See `Write.refused`."""
        own = refusals[0]
        if own is not None:
            if own.item is None:
                return None
            existing = self.model.from_item(own.item)
            same = self.model.recorded_content() == existing.recorded_content()
            return WriteResult(Outcome.DUPLICATE if same else Outcome.CONFLICT, existing)
        claimed = next((refusal.item for refusal in refusals if refusal and refusal.item), None)
        if claimed is None:
            return None
        return WriteResult(Outcome.CONFLICT, from_claim(type(self.model), claimed))
