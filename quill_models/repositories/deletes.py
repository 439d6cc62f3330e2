"""Deleting an item together with its claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from quill_models.actions import Action, Delete, Refusal
from quill_models.keys import Key
from quill_models.models import QuillModel
from quill_models.repositories.claims import delete_claim
from quill_models.results import Outcome, WriteResult
from quill_models.table import Condition
from quill_models.writes import Write

__all__ = ["DeleteWithClaims"]

M = TypeVar("M", bound=QuillModel)


class DeleteWithClaims(Write[WriteResult[M]], Generic[M]):
    """Delete what was read, and free its external ids; again where it changed meanwhile."""

    def __init__(self, model: M) -> None:
        self._model = model
        # Claims that turned out to be another item's.
        self._not_ours: set[Key] = set()

    def actions(self) -> Sequence[Action]:
        """See `Write.actions`."""
        return [
            Delete(self._model.key(), Condition.unchanged_since(self._model.write_token)),
            *(delete_claim(self._model, key) for key in self._claims()),
        ]

    def done(self) -> WriteResult[M]:
        """See `Write.done`."""
        return WriteResult(Outcome.UPDATED, self._model)

    def refused(self, refusals: Sequence[Refusal | None]) -> WriteResult[M] | None:
        """See `Write.refused`."""
        own, *claims = refusals
        if own is None:
            refused = zip(self._claims(), claims, strict=True)
            self._not_ours |= {key for key, refusal in refused if refusal is not None}
            return None
        if own.item is None:
            # Gone: deleted by another, or by ourselves and the answer was lost.
            return self.done()
        self._model = self._model.from_item(own.item)
        return None

    def _claims(self) -> list[Key]:
        return [key for key in self._model.external_id_keys() if key not in self._not_ours]
