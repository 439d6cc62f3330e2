"""External ids: an id in a source belongs to at most one item.

A claim is an item under a key of the source and the id. It is written and deleted in the
transaction of the item it belongs to. It contains a copy of the item, so a lookup by external id is
one strongly consistent read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from quill_models.dynamodb.items import Condition, RawItem, new_token, raw_key
from quill_models.models import INDEX_KEYS, QuillModel
from quill_models.values.keys import Key
from quill_models.writes.actions import Delete, Put, Refusal
from quill_models.writes.write import Write

__all__ = ["DeleteWithClaims", "delete_claim", "from_claim", "put_claims"]

M = TypeVar("M", bound=QuillModel)


def put_claims(model: QuillModel, item: RawItem) -> list[Put]:
    """Return the actions that claim a model's external ids, if no other item has them."""
    keys = model.external_id_keys()
    if not keys:
        return []
    copy = {name: value for name, value in item.items() if name not in INDEX_KEYS}
    copy["kind"] = {"S": f"{model.KIND}_external_id"}
    condition = _free_or_own(model)
    return [Put({**copy, **raw_key(key)}, condition) for key in keys]


def delete_claim(model: QuillModel, key: Key) -> Delete:
    """Return the action that releases an external id."""
    return Delete(key, _free_or_own(model))


def from_claim(model_type: type[M], claim: RawItem) -> M:
    """Return the model that a claim contains."""
    return model_type.from_item({**claim, "kind": {"S": model_type.KIND}})


def _free_or_own(model: QuillModel) -> Condition:
    (identity,) = model.IDENTITY
    return Condition(
        "attribute_not_exists(#pk) OR #identity = :identity",
        {"#pk": "pk", "#identity": identity},
        {":identity": {"S": getattr(model, identity)}},
    )


class DeleteWithClaims(Write[bool], Generic[M]):
    """Delete an item and release its external ids; retry if it changed meanwhile."""

    def __init__(self, model: M) -> None:
        self.token = new_token()
        # Claims that belong to another item.
        self._not_ours: set[Key] = set()
        self._delete(model)

    def _delete(self, model: M) -> None:
        self._model = model
        self.actions = [
            Delete(model.key(), Condition.unchanged_since(model.write_token)),
            *(delete_claim(model, key) for key in self._claims()),
        ]

    def done(self, stored: RawItem | None = None) -> bool:  # noqa: ARG002
        """See `Write.done`."""
        return True

    def refused(self, refusals: Sequence[Refusal | None]) -> bool | None:
        """See `Write.refused`."""
        own, *claims = refusals
        if own is None:
            refused = zip(self._claims(), claims, strict=True)
            self._not_ours |= {key for key, refusal in refused if refusal is not None}
            self._delete(self._model)
            return None
        if own.item is None:
            # Another writer deleted it, or this write did and the response was lost.
            return True
        self._delete(self._model.from_item(own.item))
        return None

    def _claims(self) -> list[Key]:
        return [key for key in self._model.external_id_keys() if key not in self._not_ours]
