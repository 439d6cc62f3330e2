"""Putting items that their source edits: create, update, or keep a newer item."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, TypeVar

from quill_models.dynamodb.items import Condition, RawItem
from quill_models.dynamodb.table import Table
from quill_models.models import QuillModel
from quill_models.repositories.external_ids import delete_claim, from_claim, put_claims
from quill_models.values.keys import Key
from quill_models.writes.actions import Action, Put, Refusal
from quill_models.writes.results import Outcome, WriteResult
from quill_models.writes.write import Write

__all__ = ["PutLatest"]

M = TypeVar("M", bound=QuillModel)


class PutLatest(Write[WriteResult[M]], Generic[M]):
    """Store a model unless a newer one is stored: `created`, `updated`, `unchanged` or `stale`.

    `conflict`, if an external id belongs to another item. The first write expects no item. If its
    condition fails, the error returns the stored item, and the second write replaces only that.
    """

    def __init__(self, table: Table, model: M) -> None:
        self._table = table
        # The stored item may have external ids to release that the new one does not have.
        self.fixed_keys = not model.MAY_HAVE_EXTERNAL_IDS
        self.model = model.copy()
        self.token = self.model.stamp(table)
        self._written_at = self.model.created_at
        self._given_unknown = dict(model.unknown)
        self._existing: M | None = None
        # Claims to release that belong to another item.
        self._not_ours: set[Key] = set()
        self.actions = self._create()

    def done(self, stored: RawItem | None = None) -> WriteResult[M]:
        """See `Write.done`."""
        outcome = Outcome.CREATED if self._existing is None else Outcome.UPDATED
        model = self.model if stored is None else self.model.from_item(stored)
        return WriteResult(outcome, model)

    def refused(self, refusals: Sequence[Refusal | None]) -> WriteResult[M] | None:
        """See `Write.refused`."""
        own = refusals[0]
        if own is None:
            return self._refused_claims(refusals)
        if own.item is None:
            self._existing = None
            self.actions = self._create()
            return None
        existing = self.model.from_item(own.item)
        if existing == self.model:
            return WriteResult(Outcome.UNCHANGED, existing)
        if _older(self.model.version_time, existing.version_time):
            return WriteResult(Outcome.STALE, existing)
        self._existing = existing
        self.actions = self._replace(existing)
        return None

    def _refused_claims(self, refusals: Sequence[Refusal | None]) -> WriteResult[M] | None:
        for action, refusal in zip(self.actions, refusals, strict=True):
            if refusal is None:
                continue
            if isinstance(action, Put):
                if refusal.item is not None:
                    owner = from_claim(type(self.model), refusal.item)
                    return WriteResult(Outcome.CONFLICT, owner)
            else:
                self._not_ours.add(action.key)
        if self._existing is not None:
            self.actions = self._replace(self._existing)
        return None

    def _create(self) -> list[Action]:
        self.model.created_at = self._written_at
        self.model.created_token = None
        self.model.unknown = dict(self._given_unknown)
        item = self._item()
        return [Put(item, Condition.absent(self._table.clock())), *put_claims(self.model, item)]

    def _replace(self, existing: M) -> list[Action]:
        self.model.created_at = existing.created_at
        self.model.created_token = existing.created_token or existing.write_token
        # Attributes that a newer version of this package stored are kept.
        self.model.unknown = {**existing.unknown, **self._given_unknown}
        item = self._item()
        kept = self._not_ours.union(self.model.external_id_keys())
        return [
            Put(item, Condition.unchanged_since(existing.write_token)),
            *put_claims(self.model, item),
            *(
                delete_claim(existing, key)
                for key in existing.external_id_keys()
                if key not in kept
            ),
        ]

    def _item(self) -> RawItem:
        return self.model.to_item(self._table.shards)


def _older(new: datetime | None, stored: datetime | None) -> bool:
    return new is not None and stored is not None and new < stored
