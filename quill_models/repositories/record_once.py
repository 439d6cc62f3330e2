"""Recording facts: what never changes is stored once, and every repetition is recognised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from quill_models.dynamodb.conditions import Condition
from quill_models.dynamodb.items import creator_of
from quill_models.dynamodb.table import Table
from quill_models.models import QuillModel, WebhookEvent
from quill_models.repositories.external_ids import from_claim, put_claims
from quill_models.writes.actions import Action, Put, Refusal
from quill_models.writes.results import Outcome, WriteResult
from quill_models.writes.write import Write

__all__ = ["RecordEvent", "RecordFact"]

M = TypeVar("M", bound=QuillModel)


class RecordFact(Write[WriteResult[M]], Generic[M]):
    """Store a model where its identity is free: `created`, `duplicate` or `conflict`."""

    fixed_keys = True

    def __init__(self, table: Table, model: M) -> None:
        model = self.model = model.copy()
        model.stamp(table)
        item = model.to_item(table.shards)
        self._actions: list[Action] = [
            Put(item, Condition.absent(table.clock())),
            *put_claims(model, item),
        ]

    def actions(self) -> Sequence[Action]:
        """See `Write.actions`."""
        return self._actions

    def done(self) -> WriteResult[M]:
        """See `Write.done`."""
        return WriteResult(Outcome.CREATED, self.model)

    def refused(self, refusals: Sequence[Refusal | None]) -> WriteResult[M] | None:
        """See `Write.refused`."""
        own = refusals[0]
        if own is not None:
            if own.item is None:
                return None
            existing = self.model.from_item(own.item)
            if creator_of(own.item) == self.model.write_token:
                # Our own write, whose answer was lost; others may have rewritten it since.
                return WriteResult(Outcome.CREATED, existing)
            same = self.same_content(existing)
            return WriteResult(Outcome.DUPLICATE if same else Outcome.CONFLICT, existing)
        claimed = next((refusal.item for refusal in refusals if refusal and refusal.item), None)
        if claimed is None:
            return None
        return WriteResult(Outcome.CONFLICT, from_claim(type(self.model), claimed))

    def same_content(self, existing: M) -> bool:
        """Whether the stored model says the same as the one to record."""
        return self.model == existing


class RecordEvent(RecordFact[WebhookEvent]):
    """The content of an event is its digest: a redelivery may differ in what does not count."""

    def same_content(self, existing: WebhookEvent) -> bool:
        """See `RecordFact.same_content`."""
        return existing.digest == self.model.digest
