"""Second identities: an id in a source that belongs to one item and no other.

A claim is an item of its own, under a key made of the source and the id. It is written and
deleted in the transaction that writes the item it belongs to, and carries a copy of it, so that
looking an item up by its external id is one strongly consistent request.
"""

from __future__ import annotations

from typing import TypeVar

from quill_models.actions import Delete, Put
from quill_models.keys import Key
from quill_models.models import INDEXES, QuillModel
from quill_models.table import Condition, RawItem, raw_key

__all__ = ["delete_claim", "from_claim", "put_claims"]

M = TypeVar("M", bound=QuillModel)

_INDEX_KEYS = frozenset(f"{index}{part}" for index in INDEXES for part in ("pk", "sk"))


def put_claims(model: QuillModel, item: RawItem) -> list[Put]:
    """The actions that claim a model's external ids, each refused where another item has it."""
    keys = model.external_id_keys()
    if not keys:
        return []
    copy = {name: value for name, value in item.items() if name not in _INDEX_KEYS}
    copy["kind"] = {"S": f"{model.KIND}_external_id"}
    condition = _free_or_own(model)
    return [Put({**copy, **raw_key(key)}, condition) for key in keys]


def delete_claim(model: QuillModel, key: Key) -> Delete:
    """The action that gives an external id up."""
    return Delete(key, _free_or_own(model))


def from_claim(model_type: type[M], claim: RawItem) -> M:
    """The model that a claim carries a copy of."""
    return model_type.from_item({**claim, "kind": {"S": model_type.KIND}})


def _free_or_own(model: QuillModel) -> Condition:
    (identity,) = model.IDENTITY
    return Condition(
        "attribute_not_exists(#pk) OR #identity = :identity",
        {"#pk": "pk", "#identity": identity},
        {":identity": {"S": getattr(model, identity)}},
    )
