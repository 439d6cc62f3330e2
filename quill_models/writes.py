"""Conditional writes with an outcome: one at a time, and many in few requests.

A write is a small state machine: it names the actions to send (all or none), and is told whether
they were done or which of them were refused by what stored item. It then knows its outcome, or
names other actions. Sending them is the business of `send` and `send_many`, which know nothing
of outcomes.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from quill_models.client import ConditionFailed, TransactionCanceled
from quill_models.errors import (
    InvalidPayload,
    InvalidValue,
    PartialWriteError,
    QuillError,
    RequestRejected,
    Throttled,
)
from quill_models.item_size import check_size, size_of
from quill_models.keys import Key
from quill_models.table import PK, Condition, RawItem, Table, key_of, raw_key

__all__ = ["Action", "Check", "Delete", "Put", "Refusal", "Write", "send", "send_many"]

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
TRANSACTION_ACTIONS = 100
TRANSACTION_BYTES = 4 * 1024 * 1024
# Writes taken from an iterable at a time. As many as one transaction holds of one action each.
CHUNK = TRANSACTION_ACTIONS

_CONDITION_FAILED = "ConditionalCheckFailed"
# Reasons that pass by themselves.
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_RETRY_SECONDS = 0.05
_RETRY_LIMIT_SECONDS = 2.0
_RETRIES = 12

In = TypeVar("In")
R = TypeVar("R")


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
class Delete:
    """Delete an item where a condition holds."""

    key: Key
    condition: Condition

    @property
    def size(self) -> int:
        """In bytes."""
        return size_of(raw_key(self.key))

    def parameters(self) -> dict[str, Any]:
        """As ``DeleteItem`` and a transaction take them, without the table's name."""
        return {"Key": raw_key(self.key), **self.condition.parameters()}


@dataclass(frozen=True)
class Check:
    """Change nothing, but do the rest of the transaction only where a condition holds."""

    key: Key
    condition: Condition

    @property
    def size(self) -> int:
        """In bytes."""
        return size_of(raw_key(self.key))

    def parameters(self) -> dict[str, Any]:
        """As a transaction takes them, without the table's name."""
        return {"Key": raw_key(self.key), **self.condition.parameters()}


Action = Put | Delete | Check

# What a transaction calls them. A check on its own makes no sense and is never sent.
_IN_TRANSACTION = {Put: "Put", Delete: "Delete", Check: "ConditionCheck"}


@dataclass(frozen=True)
class Refusal:
    """An action whose condition did not hold, and the item that stood there, if any."""

    item: RawItem | None


class Write(ABC, Generic[R]):
    """One write in progress."""

    @abstractmethod
    def actions(self) -> Sequence[Action]:
        """What to send now: all or none of it will be done."""

    @abstractmethod
    def done(self) -> R:
        """The outcome, once the actions were done."""

    @abstractmethod
    def refused(self, refusals: Sequence[Refusal | None]) -> R | None:
        """The outcome, once actions were refused; ``None`` where `actions` now names others.

        Args:
            refusals: for each action its refusal, or ``None`` where it was not at fault.
        """


def send(table: Table, write: Write[R]) -> R:
    """Carry out one write: a plain request where one action does, else a transaction.

    Raises:
        Throttled: other writers kept changing the item through all tries.
        QuillError: see `quill_models.errors`.
    """
    for attempt in range(_RETRIES):
        actions = write.actions()
        for action in actions:
            _check(action)
        refusals = _send_one(table, actions)
        if refusals is None:
            return write.done()
        if any(refusals):
            result = write.refused(refusals)
            if result is not None:
                return result
        if attempt:
            _wait(attempt)
    raise _contended(write)


def send_many(
    table: Table, write_of: Callable[[In], Write[R]], inputs: Iterable[In]
) -> Iterator[R]:
    """Carry out the writes of many inputs, their outcomes in order.

    A hundred at a time, in transactions of up to 100 actions and 4 MB: one request where nothing
    is stored yet, one where all is, two for a mixture. Writes that share a key are done one
    after the other, in order. Transactions cost twice the write units of plain puts.

    Raises:
        PartialWriteError: the table stopped answering; ``pending`` holds the inputs taken from
            the iterable whose outcome is not known.
        InvalidValue: an input that cannot be stored; nothing of its hundred was sent.
    """
    source = iter(inputs)
    while taken := list(islice(source, CHUNK)):
        yield from _send_chunk(table, write_of, taken)


def _send_chunk(table: Table, write_of: Callable[[In], Write[R]], taken: list[In]) -> list[R]:
    chunk: _Chunk[R] | None = None
    try:
        writes = [write_of(one) for one in taken]
        for write in writes:
            for action in write.actions():
                _check(action)
        chunk = _Chunk(table, writes)
        chunk.send()
    except (InvalidValue, InvalidPayload):
        raise
    except QuillError as error:
        results = chunk.results if chunk is not None else {}
        raise PartialWriteError(
            f"{error}\nThis ended a bulk write: what was written stays, and sending all of it "
            "again is safe.",
            results=[results[at] for at in sorted(results)],
            pending=[one for at, one in enumerate(taken) if at not in results],
        ) from error
    return [chunk.results[at] for at in range(len(taken))]


class _Chunk(Generic[R]):
    """Up to a hundred writes on their way, as if they were done one after the other."""

    def __init__(self, table: Table, writes: Sequence[Write[R]]) -> None:
        self._table = table
        self._writes = writes
        self.results: dict[int, R] = {}
        # What is stored under a key, as far as the writes before have shown it.
        self._stored: dict[Key, RawItem] = {}
        # Writes that have been told of it.
        self._told: set[int] = set()

    def waiting(self) -> list[int]:
        """The writes whose outcome is not known, by number."""
        return [at for at in range(len(self._writes)) if at not in self.results]

    def send(self) -> None:
        """Send rounds of transactions until each write has its outcome."""
        standstills = 0
        while waiting := self.waiting():
            before = len(self.results)
            moved = False
            for batch in self._batches(waiting):
                moved |= self._send_batch(batch)
            if len(self.results) > before:
                standstills = 0
                continue
            # Refused writes name other actions at once; others wait for the collision to pass.
            standstills += 1
            if standstills >= _RETRIES:
                raise _contended(self._writes[waiting[0]])
            if not moved or standstills > 1:
                _wait(standstills)

    def _batches(self, waiting: Sequence[int]) -> Iterator[list[int]]:
        """Which writes go into which transaction of this round; some wait for the next round."""
        touched: set[Key] = set()
        batch: list[int] = []
        actions = size = 0
        for at in waiting:
            own = self._writes[at].actions()
            keys = {action.key for action in own}
            # The same key twice in one transaction is refused, and in two of one round it would
            # be up to chance which is first.
            if keys & touched or self._settled_by_those_before(at, own):
                touched |= keys
                continue
            own = self._writes[at].actions()
            touched |= {action.key for action in own}
            own_size = sum(action.size for action in own)
            if batch and (
                actions + len(own) > TRANSACTION_ACTIONS or size + own_size > TRANSACTION_BYTES
            ):
                yield batch
                batch, actions, size = [], 0, 0
            batch.append(at)
            actions += len(own)
            size += own_size
        if batch:
            yield batch

    def _settled_by_those_before(self, at: int, own: Sequence[Action]) -> bool:
        """Whether what the writes before stored decides this one, without a request."""
        stored = self._stored.get(own[0].key)
        if stored is None or at in self._told:
            return False
        self._told.add(at)
        result = self._writes[at].refused([Refusal(stored), *(None for _ in own[1:])])
        if result is not None:
            self.results[at] = result
        return result is not None

    def _send_batch(self, batch: Sequence[int]) -> bool:
        """Send one transaction; whether it brought any write forward."""
        own = [self._writes[at].actions() for at in batch]
        refusals = _transact(self._table, [action for actions in own for action in actions])
        if refusals is None:
            for at, actions in zip(batch, own, strict=True):
                self._know(actions[0].key, actions[0].item if isinstance(actions[0], Put) else None)
                self.results[at] = self._writes[at].done()
            return True
        moved = False
        start = 0
        for at, actions in zip(batch, own, strict=True):
            mine = refusals[start : start + len(actions)]
            start += len(actions)
            if not any(mine):
                continue
            moved = True
            if mine[0] is None and any(before not in self.results for before in range(at)):
                # Another item has its second identity; a write before it may yet give that up.
                continue
            if mine[0] is not None:
                self._know(actions[0].key, mine[0].item)
            result = self._writes[at].refused(mine)
            if result is not None:
                self.results[at] = result
        return moved

    def _know(self, key: Key, item: RawItem | None) -> None:
        if item is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = item


def _send_one(table: Table, actions: Sequence[Action]) -> list[Refusal | None] | None:
    if len(actions) > 1:
        return _transact(table, actions)
    (action,) = actions
    operation = "put_item" if isinstance(action, Put) else "delete_item"
    try:
        table.request(operation, **action.parameters())
    except ConditionFailed as failure:
        return [_refusal(table, action, failure.item)]
    return None


def _transact(table: Table, actions: Sequence[Action]) -> list[Refusal | None] | None:
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
        if rejected.code in {"TransactionInProgressException", "TransactionConflictException"}:
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


def _check(action: Action) -> None:
    if isinstance(action, Put):
        check_size(action.item)


def _wait(attempt: int) -> None:
    longest = min(_RETRY_LIMIT_SECONDS, _RETRY_SECONDS * 2**attempt)
    # Jitter keeps writers that collided from colliding again; nothing secret about it.
    time.sleep(random.uniform(0, longest))  # noqa: S311


def _contended(write: Write[Any]) -> QuillError:
    key = write.actions()[0].key
    return Throttled(
        f"Other writers kept changing {key.pk} / {key.sk} through {_RETRIES} tries. "
        "Sending it again is safe."
    )
