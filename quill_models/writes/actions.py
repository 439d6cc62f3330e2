"""Conditional actions on items, sent alone or in a transaction, and what kept them out."""

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

# Wide enough for the exact sum of any two numbers that DynamoDB stores.
_EXACT = Context(prec=300)

_CONDITION_FAILED = "ConditionalCheckFailed"
# Reasons that pass by themselves.
PASSING = {
    "DuplicateTransaction",
    "InternalServerError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingError",
    "TransactionConflict",
}


@dataclass(frozen=True)
class Put:
    """Store an item where a condition holds."""

    item: RawItem
    condition: Condition
    key: Key = field(init=False)
    size: int = field(init=False)
    """In bytes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key_of(self.item))
        object.__setattr__(self, "size", size_of(self.item))

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


@dataclass(frozen=True)
class Add:
    """Add to a number of an item, whether there is one yet or not. Only in a transaction.

    It has no condition, so that it is never refused; another action of the same transaction keeps
    it from being done twice. Several on one item go into a transaction as one.

    Attributes:
        key: which item.
        name: of the number's attribute.
        amount: how much.
        sets: what else the item says from now on; its write token is among it.
        defaults: what it says unless it says something else already.
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
        """Both in one; ``None`` where their sum has more digits than DynamoDB stores."""
        try:
            amount = exact_decimal(_EXACT.add(self.amount, later.amount), "sum")
        except InvalidValue:
            return None
        return Add(self.key, self.name, amount, later.sets, later.defaults)

    def parameters(self) -> dict[str, Any]:
        """As a transaction takes them, without the table's name."""
        names = {"#number": self.name, "#created": CREATED_TOKEN, "#token": WRITE_TOKEN}
        values: RawItem = {":amount": {"N": str(self.amount)}, ":token": self.sets[WRITE_TOKEN]}
        # Who created the item is remembered, as whenever one is rewritten.
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

# What a transaction calls them. A check or an addition on its own is never sent.
_IN_TRANSACTION: Mapping[type[Action], str] = {
    Put: "Put",
    Delete: "Delete",
    Check: "ConditionCheck",
    Add: "Update",
}


@dataclass(frozen=True)
class Refusal:
    """An action whose condition did not hold, and the item that stood there, if any."""

    item: RawItem | None


@dataclass(frozen=True)
class NotDone:
    """Why actions were not done, for each of them.

    Attributes:
        refusals: what its condition met; ``None`` for an action that was not at fault.
        busy: whether other writers or throttling kept it out, which passes.
    """

    refusals: list[Refusal | None]
    busy: list[bool]


def do_one(table: Table, actions: Sequence[Action]) -> NotDone | None:
    """The actions of one write: a plain request where it is one, else a transaction."""
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
    """One transaction: ``None`` where all was done, else why nothing was."""
    try:
        table.client.request(
            "transact_write_items",
            # However often it is sent, it is done once.
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
            not_done.busy.append(code in PASSING)
            if code is not None and code not in PASSING and not failed:
                raise RequestRejected(
                    f"DynamoDB refused to write {action.key}: {code}", code=code
                ) from canceled
        return not_done
    return None


def _refusal(table: Table, key: Key, item: RawItem | None) -> Refusal:
    # Some DynamoDB-compatible servers do not return the item with the failure.
    return Refusal(item if item and PK in item else table.get(key))


def check_action(action: Action) -> None:
    """Refuse what is too large, before any request."""
    if isinstance(action, Put) and action.size > ITEM_BYTES:
        check_size(action.item)


class TransactionPlan:
    """Writes, by number, whose actions are all done or none of them.

    Additions to one item become one action.

    Attributes:
        actions: what is sent.
        writes: the actions of each write.
    """

    def __init__(self, limit: int = TRANSACTION_ACTIONS) -> None:
        self._limit = limit
        self.actions: list[Action] = []
        self._size = 0
        # The positions of each write's actions among them, and of the additions to each item.
        self._positions: dict[int, list[int]] = {}
        self._adds: dict[Key, int] = {}
        self.writes: dict[int, Sequence[Action]] = {}

    def takes(self, at: int, own: Sequence[Action]) -> bool:
        """Take a write in; ``False`` if it no longer fits. The first one always does."""
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
        """Do all, or nothing and return why, action by action."""
        return do_one(table, self.actions)

    def refusals_of(self, at: int, refusals: Sequence[Refusal | None]) -> list[Refusal | None]:
        """The refusals of one write's actions."""
        return [refusals[position] for position in self._positions[at]]

    def contended(self, not_done: NotDone) -> set[int]:
        """The writes that other writers or throttling kept out."""
        return {
            at
            for at, positions in self._positions.items()
            if any(not_done.busy[position] for position in positions)
        }

    def contended_keys(self, not_done: NotDone) -> set[Key]:
        """The keys that those writes were kept out of."""
        return {
            action.key for action, busy in zip(self.actions, not_done.busy, strict=True) if busy
        }
