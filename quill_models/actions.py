"""Conditional actions on items, sent alone or in a transaction, and what refused them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quill_models.client import ConditionFailed, TransactionCanceled
from quill_models.errors import RequestRejected
from quill_models.item_size import check_size, size_of
from quill_models.keys import Key
from quill_models.table import PK, Condition, RawItem, Table, key_of, raw_key

__all__ = ["Action", "Check", "Delete", "Put", "Refusal", "check_action", "do_all", "do_one"]

_CONDITION_FAILED = "ConditionalCheckFailed"
# Reasons that pass by themselves.
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


@dataclass(frozen=True)
class Put:
    """Store an item where a condition holds."""

    item: RawItem
    condition: Condition

    @property
    def key(self) -> Key:
        """Where."""
        return key_of(self.item)

    @property
    def size(self) -> int:
        """In bytes."""
        return size_of(self.item)

    def parameters(self) -> dict[str, Any]:
        """As ``PutItem`` and a transaction take them, without the table's name."""
        return {"Item": self.item, **self.condition.parameters()}


@dataclass(frozen=True)
class _OnKey:
    """What needs no more than a key and a condition."""

    key: Key
    condition: Condition

    @property
    def size(self) -> int:
        """In bytes."""
        return size_of(raw_key(self.key))

    def parameters(self) -> dict[str, Any]:
        """As a request of its own and a transaction take them, without the table's name."""
        return {"Key": raw_key(self.key), **self.condition.parameters()}


class Delete(_OnKey):
    """Delete an item where a condition holds."""


class Check(_OnKey):
    """Change nothing, but do the rest of the transaction only where a condition holds."""


Action = Put | Delete | Check

# What a transaction calls them. A check on its own makes no sense and is never sent.
_IN_TRANSACTION = {Put: "Put", Delete: "Delete", Check: "ConditionCheck"}


@dataclass(frozen=True)
class Refusal:
    """An action whose condition did not hold, and the item that stood there, if any."""

    item: RawItem | None


def do_one(table: Table, actions: Sequence[Action]) -> list[Refusal | None] | None:
    """The actions of one write: a plain request where it is one, else a transaction."""
    if len(actions) > 1:
        return do_all(table, actions)
    (action,) = actions
    operation = "put_item" if isinstance(action, Put) else "delete_item"
    try:
        table.request(operation, **action.parameters())
    except ConditionFailed as failure:
        return [_refusal(table, action, failure.item)]
    return None


def do_all(table: Table, actions: Sequence[Action]) -> list[Refusal | None] | None:
    """``None`` where all was done; else what was refused, nothing where it was bad luck."""
    try:
        table.client.request(
            "transact_write_items",
            TransactItems=[
                {
                    _IN_TRANSACTION[type(action)]: {
                        "TableName": table.name,
                        **action.parameters(),
                    }
                }
                for action in actions
            ],
        )
    except TransactionCanceled as canceled:
        return [
            _reason(table, action, code, item)
            for action, (code, item) in zip(actions, canceled.reasons, strict=True)
        ]
    except RequestRejected as rejected:
        # The same transaction is still on its way: an answer was lost and the client sent it
        # again before the server was through.
        if rejected.code == "TransactionInProgressException":
            return [None] * len(actions)
        raise
    return None


def _reason(table: Table, action: Action, code: str | None, item: RawItem | None) -> Refusal | None:
    if code == _CONDITION_FAILED:
        return _refusal(table, action, item)
    if code is None or code in _PASSING:
        return None
    raise RequestRejected(f"DynamoDB refused to write {action.key}: {code}", code=code)


def _refusal(table: Table, action: Action, item: RawItem | None) -> Refusal:
    # Some DynamoDB-compatible servers do not return the item with the failure.
    return Refusal(item if item and PK in item else table.get(action.key))


def check_action(action: Action) -> None:
    """Refuse what is too large, before any request."""
    if isinstance(action, Put):
        check_size(action.item)
