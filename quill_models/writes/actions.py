"""Conditional actions on items, sent alone or in a transaction, and their failures."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from quill_models.dynamodb.items import (
    CREATED_TOKEN,
    ITEM_BYTES,
    PK,
    WRITE_TOKEN,
    Condition,
    RawItem,
    check_size,
    key_of,
    raw_key,
    size_of,
)
from quill_models.dynamodb.service_errors import ConditionFailed, TransactionCanceled
from quill_models.dynamodb.table import Table
from quill_models.values.conversion import exact_decimal
from quill_models.values.errors import InvalidValue, RequestRejected
from quill_models.values.keys import Key

__all__ = [
    "TRANSACTION_ACTIONS",
    "TRANSACTION_BYTES",
    "Action",
    "Add",
    "Check",
    "Delete",
    "NotDone",
    "Put",
    "Refusal",
    "TransactionPlan",
    "check_action",
    "do_all",
    "do_one",
]

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
TRANSACTION_ACTIONS = 100
TRANSACTION_BYTES = 4 * 1024 * 1024

# Enough digits for the exact sum of any two numbers that DynamoDB stores.
_EXACT = Context(prec=300)

_CONDITION_FAILED = "ConditionalCheckFailed"
TRANSIENT = {
    "DuplicateTransaction",
    "InternalServerError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingError",
    "TransactionConflict",
}


@dataclass(frozen=True)
class Put:
    """Store an item if a condition is true."""

    item: RawItem
    condition: Condition
    key: Key = field(init=False)
    size: int = field(init=False)
    """In bytes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key_of(self.item))
        object.__setattr__(self, "size", size_of(self.item))

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of ``PutItem`` without the table name."""
        return {"Item": self.item, **self.condition.parameters()}


@dataclass(frozen=True)
class _OnKey:
    """An action that needs only a key and a condition."""

    key: Key
    condition: Condition

    @property
    def size(self) -> int:
        """In bytes."""
        return size_of(raw_key(self.key))

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the request without the table name."""
        return {"Key": raw_key(self.key), **self.condition.parameters()}


class Delete(_OnKey):
    """Delete an item if a condition is true."""


class Check(_OnKey):
    """Cancel the transaction if a condition is false; change nothing."""


@dataclass(frozen=True)
class Add:
    """Add to a number of an item, which need not exist. Only in a transaction.

    It has no condition. Another action of the transaction prevents a repetition. Several additions
    to one item are merged into one.

    Attributes:
        key: The key of the item.
        name: The attribute with the number.
        amount: The amount to add.
        sets: Attributes to set, including the write token.
        defaults: Attributes to set if the item does not have them.
    """

    key: Key
    name: str
    amount: Decimal
    sets: RawItem
    defaults: RawItem

    @property
    def size(self) -> int:
        """In bytes."""
        return size_of(raw_key(self.key)) + size_of(self.sets) + size_of(self.defaults)

    def merged(self, later: Add) -> Add | None:
        """Return both as one, or ``None`` if the sum has more digits than DynamoDB stores."""
        try:
            amount = exact_decimal(_EXACT.add(self.amount, later.amount), "sum")
        except InvalidValue:
            return None
        return Add(self.key, self.name, amount, later.sets, later.defaults)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters in a transaction without the table name."""
        names = {"#number": self.name, "#created": CREATED_TOKEN, "#token": WRITE_TOKEN}
        values: RawItem = {":amount": {"N": str(self.amount)}, ":token": self.sets[WRITE_TOKEN]}
        # A rewritten item keeps the token of its creator.
        terms = ["#created = if_not_exists(#created, if_not_exists(#token, :token))"]
        for at, (name, value) in enumerate(self.sets.items()):
            names[f"#s{at}"], values[f":s{at}"] = name, value
            terms.append(f"#s{at} = :s{at}")
        for at, (name, value) in enumerate(self.defaults.items()):
            names[f"#d{at}"], values[f":d{at}"] = name, value
            terms.append(f"#d{at} = if_not_exists(#d{at}, :d{at})")
        return {
            "Key": raw_key(self.key),
            "UpdateExpression": f"SET {', '.join(terms)} ADD #number :amount",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }


Action = Put | Delete | Check | Add

# Their names in a transaction. A check or an addition is never sent alone.
_IN_TRANSACTION: Mapping[type[Action], str] = {
    Put: "Put",
    Delete: "Delete",
    Check: "ConditionCheck",
    Add: "Update",
}


@dataclass(frozen=True)
class Refusal:
    """An action whose condition failed, with the stored item, if any."""

    item: RawItem | None


@dataclass(frozen=True)
class NotDone:
    """The reasons of a request that wrote nothing, for each action.

    Attributes:
        refusals: The failed condition, or ``None`` if the action did not fail.
        busy: Whether the action failed for a transient reason: other writers or throttling.
    """

    refusals: list[Refusal | None]
    busy: list[bool]


def do_one(table: Table, actions: Sequence[Action]) -> NotDone | None:
    """Send the actions of one write: one action as a plain request, several as a transaction."""
    if len(actions) > 1:
        return do_all(table, actions)
    (action,) = actions
    operation = "put_item" if isinstance(action, Put) else "delete_item"
    try:
        table.request(operation, **action.parameters())
    except ConditionFailed as failure:
        return NotDone([_refusal(table, action.key, failure.item)], [False])
    return None


def do_all(table: Table, actions: Sequence[Action]) -> NotDone | None:
    """Send one transaction. Return ``None`` if it succeeded, else the reasons."""
    try:
        table.client.request(
            "transact_write_items",
            # Repetitions of the request have no effect.
            ClientRequestToken=secrets.token_urlsafe(16),
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
        not_done = NotDone([], [])
        for action, (code, item) in zip(actions, canceled.reasons, strict=True):
            failed = code == _CONDITION_FAILED
            not_done.refusals.append(_refusal(table, action.key, item) if failed else None)
            not_done.busy.append(code in TRANSIENT)
            if code is not None and code not in TRANSIENT and not failed:
                raise RequestRejected(
                    f"DynamoDB rejected the write to {action.key.pk} / {action.key.sk}: {code}",
                    code=code,
                ) from canceled
        return not_done
    return None


def _refusal(table: Table, key: Key, item: RawItem | None) -> Refusal:
    # Some DynamoDB-compatible servers do not return the item with the failure.
    return Refusal(item if item and PK in item else table.get(key))


def check_action(action: Action) -> None:
    """Raise `InvalidPayload` for a too large item before any request."""
    if isinstance(action, Put) and action.size > ITEM_BYTES:
        check_size(action.item)


class TransactionPlan:
    """The writes of one transaction, by number. Additions to one item become one action.

    Attributes:
        actions: The actions to send.
        writes: The actions of each write.
    """

    def __init__(self, limit: int = TRANSACTION_ACTIONS) -> None:
        self._limit = limit
        self.actions: list[Action] = []
        self._size = 0
        # The positions of each write's actions, and of the additions to each item.
        self._positions: dict[int, list[int]] = {}
        self._adds: dict[Key, int] = {}
        self.writes: dict[int, Sequence[Action]] = {}

    def takes(self, at: int, own: Sequence[Action]) -> bool:
        """Add a write, or return ``False`` if it does not fit. The first one always fits."""
        merged: dict[int, Action] = {}
        new: list[Action] = []
        positions: list[int] = []
        for action in own:
            position = self._adds.get(action.key) if isinstance(action, Add) else None
            before = None if position is None else self.actions[position]
            if position is None or not isinstance(before, Add) or not isinstance(action, Add):
                positions.append(len(self.actions) + len(new))
                new.append(action)
                continue
            both = before.merged(action)
            if both is None:
                return False
            merged[position] = both
            positions.append(position)
        size = self._size + sum(action.size for action in new)
        if self.writes and (len(self.actions) + len(new) > self._limit or size > TRANSACTION_BYTES):
            return False
        for position, action in merged.items():
            self.actions[position] = action
        self.actions += new
        self._size = size
        self._adds |= {
            action.key: position
            for action, position in zip(own, positions, strict=True)
            if isinstance(action, Add)
        }
        self._positions[at], self.writes[at] = positions, own
        return True

    def send(self, table: Table) -> NotDone | None:
        """Send the transaction. Return ``None`` if it succeeded, else the reasons."""
        return do_one(table, self.actions)

    def refusals_of(self, at: int, refusals: Sequence[Refusal | None]) -> list[Refusal | None]:
        """Return the refusals of the actions of one write."""
        return [refusals[position] for position in self._positions[at]]

    def contended(self, not_done: NotDone) -> set[int]:
        """Return the writes that failed for a transient reason."""
        return {
            at
            for at, positions in self._positions.items()
            if any(not_done.busy[position] for position in positions)
        }

    def contended_keys(self, not_done: NotDone) -> set[Key]:
        """Return the keys of the actions that failed for a transient reason."""
        return {
            action.key for action, busy in zip(self.actions, not_done.busy, strict=True) if busy
        }
