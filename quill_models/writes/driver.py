"""The driver of writes: it sends their actions in rounds until each write has its outcome.

It sends single writes, up to 100 writes of a bulk write, and transactions. Writes that share a key
are sent one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, TypeVar

from quill_models.dynamodb.backoff import Backoff
from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.table import Table
from quill_models.telemetry.operations import count_outcome
from quill_models.values.errors import QuillError, Throttled
from quill_models.values.keys import Key
from quill_models.writes.actions import (
    TRANSACTION_ACTIONS,
    Action,
    Add,
    NotDone,
    Put,
    Refusal,
    TransactionPlan,
    check_action,
    do_one,
)
from quill_models.writes.partiql_inserts import fits, insert_each
from quill_models.writes.results import WriteResult
from quill_models.writes.write import Write

__all__ = ["Driver", "Prefer", "send"]

R = TypeVar("R")


class Prefer(StrEnum):
    """The preference of a bulk write that cannot have both speed and low cost."""

    SPEED = "speed"
    """Transactions of up to 100 items, with the fewest requests, at twice the write units."""
    COST = "cost"
    """Independent items outside transactions, 25 in a request, at half of that."""


class Driver(Generic[R]):
    """Writes whose first actions fit into one transaction.

    Attributes:
        results: The known outcomes, by the number of the write.
    """

    def __init__(
        self,
        table: Table,
        writes: Sequence[Write[R]],
        prefer: Prefer = Prefer.SPEED,
        *,
        read_first: bool = False,
    ) -> None:
        self._table = table
        self._writes = writes
        self._prefer = prefer
        self._read_first = read_first
        self.results: dict[int, R] = {}
        # The stored item of each key that a read or an earlier write has returned.
        self._stored: dict[Key, RawItem] = {}
        # Writes with an earlier refusal.
        self._informed: set[int] = set()
        # Writes that wait for all writes before them, which may release their second identity.
        self._held: set[int] = set()
        # Writes that conflict with other writers. They get transactions of their own, which become
        # smaller, so that one contended key does not delay 99 other writes.
        self._contended: set[int] = set()
        self._contended_limit = TRANSACTION_ACTIONS
        self._refused = 0

    @cached_property
    def keys(self) -> set[Key]:
        """The keys of all first actions."""
        return {action.key for write in self._writes for action in write.actions}

    def is_apart_from(self, other: Driver[R]) -> bool:
        """Return whether both can be in flight without affecting each other."""
        return (
            self.keys.isdisjoint(other.keys)
            and all(write.fixed_keys for write in self._writes)
            and all(write.fixed_keys for write in other._writes)
        )

    @property
    def was_mostly_known(self) -> bool:
        """Whether most of its items were stored, so that the next driver should read first."""
        return self._refused * 2 > len(self._writes)

    def run(self) -> None:
        """Send rounds of requests until each write has its outcome.

        Raises:
            Throttled: Other writers kept changing an item until the deadline.
            QuillError: See `quill_models.errors`. `results` has the known outcomes.
        """
        if self._read_first:
            self._read_stored()
        backoff, started = None, time.monotonic()
        may_retry_at_once = True
        while waiting := self._waiting():
            known, moved = len(self.results), False
            for plan in self._plans(waiting):
                moved |= self._send(plan)
            if len(self.results) > known:
                backoff, started = None, time.monotonic()
                may_retry_at_once = True
            elif moved and may_retry_at_once:
                # Refused writes have other actions now, and no other writer conflicts.
                may_retry_at_once = False
            else:
                backoff = backoff or Backoff(self._table.settings.deadline, started)
                if not backoff.wait("Contention"):
                    raise _contention(self._writes[waiting[0]], self._table.settings.deadline)

    def _waiting(self) -> list[int]:
        """Return the numbers of the writes without an outcome."""
        return [at for at in range(len(self._writes)) if at not in self.results]

    def _read_stored(self) -> None:
        """Read the stored items, at a tenth of the cost of refused writes."""
        firsts = (write.actions[0] for write in self._writes)
        keys = [
            first.key for first in firsts if isinstance(first, Put) and first.condition.is_absent
        ]
        self._stored.update(self._table.get_many(keys))

    def _plans(self, waiting: Sequence[int]) -> Iterator[TransactionPlan]:
        """Yield the transactions of this round; some writes wait for the next round."""
        touched: set[Key] = set()
        plain, contended = TransactionPlan(), TransactionPlan(self._contended_limit)
        for at in waiting:
            # DynamoDB rejects a repeated key in a transaction. In two transactions of one round,
            # the order of the two writes would be random.
            waits = self._touches(at, touched) or (at in self._held and self._any_before(at))
            # A known stored item may settle it, or make it name other actions.
            if waits or self._is_settled(at) or self._touches(at, touched):
                touched |= self._keys_of(at)
                continue
            touched |= self._keys_of(at)
            own = self._writes[at].actions
            for action in own:
                check_action(action)
            if at in self._contended:
                if not contended.takes(at, own):
                    yield contended
                    contended = TransactionPlan(self._contended_limit)
                    contended.takes(at, own)
            elif not plain.takes(at, own):
                yield plain
                plain = TransactionPlan()
                plain.takes(at, own)
        for plan in (plain, contended):
            if plan.writes:
                yield plan

    def _keys_of(self, at: int) -> set[Key]:
        """Return the keys that no other write of the round can touch, except for additions."""
        return {action.key for action in self._writes[at].actions if not isinstance(action, Add)}

    def _touches(self, at: int, touched: set[Key]) -> bool:
        return any(action.key in touched for action in self._writes[at].actions)

    def _any_before(self, at: int) -> bool:
        """Return whether a write before this one has no outcome."""
        return any(before not in self.results for before in range(at))

    def _is_settled(self, at: int) -> bool:
        """Return whether a known stored item decides this write, without a request."""
        own = self._writes[at].actions
        stored = self._stored.get(own[0].key)
        if stored is None or at in self._informed:
            return False
        self._settle(at, own, [Refusal(stored), *(None for _ in own[1:])])
        return at in self.results

    def _send(self, plan: TransactionPlan) -> bool:
        """Send one plan, and return whether any write has made progress."""
        if self._prefer is Prefer.SPEED:
            return self._send_together(plan)
        alone: dict[int, Put] = {}
        together = TransactionPlan()
        for at, own in plan.writes.items():
            if len(own) == 1 and isinstance(own[0], Put):
                alone[at] = own[0]
            else:
                together.takes(at, own)
        moved = self._send_alone(alone) if alone else False
        return (self._send_together(together) if together.writes else False) or moved

    def _send_alone(self, puts: dict[int, Put]) -> bool:
        """Send writes of one put each outside a transaction."""
        inserts = {at: put for at, put in puts.items() if put.condition.is_absent and fits(put)}
        moved = False
        if inserts:
            not_done = insert_each(self._table, list(inserts.values()))
            responses = zip(inserts.items(), not_done.refusals, not_done.busy, strict=True)
            for (at, put), refusal, busy in responses:
                if not busy:
                    moved = True
                    self._settle(at, [put], None if refusal is None else [refusal])
        for at, put in puts.items():
            if at not in inserts:
                moved = True
                refused = do_one(self._table, [put])
                self._settle(at, [put], None if refused is None else refused.refusals)
        return moved

    def _send_together(self, plan: TransactionPlan) -> bool:
        not_done = plan.send(self._table)
        if not_done is None:
            for at, own in plan.writes.items():
                self._settle(at, own, None)
            return True
        self._set_apart(plan, not_done)
        moved = False
        for at, own in plan.writes.items():
            refusals = plan.refusals_of(at, not_done.refusals)
            if not any(refusals):
                continue
            moved = True
            if refusals[0] is None and self._any_before(at):
                # Another item has its second identity, which an earlier write may release.
                self._held.add(at)
                continue
            self._settle(at, own, refusals)
        return moved

    def _set_apart(self, plan: TransactionPlan, not_done: NotDone) -> None:
        """Separate writes that conflict with other writers."""
        contended = plan.contended(not_done)
        if contended & self._contended and len(plan.contended_keys(not_done)) > 1:
            self._contended_limit = max(1, self._contended_limit // 2)
        self._contended |= contended

    def _settle(
        self, at: int, own: Sequence[Action], refusals: Sequence[Refusal | None] | None
    ) -> None:
        """Note the result of a write: a success if there are no refusals."""
        write, first = self._writes[at], own[0]
        if refusals is None:
            self._know(first.key, first.item if isinstance(first, Put) else None)
            result = write.done()
        else:
            self._informed.add(at)
            if refusals[0] is not None:
                self._know(first.key, refusals[0].item)
            settled = write.settle(refusals)
            if settled is None:
                return
            result = settled
            self._refused += 1
        self.results[at] = result
        for each in result if isinstance(result, list) else [result]:
            if isinstance(each, WriteResult):
                count_outcome(each.outcome.value)

    def _know(self, key: Key, item: RawItem | None) -> None:
        if item is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = item


def send(table: Table, write: Write[R]) -> R:
    """Send one write: a plain request for one action, else a transaction.

    Raises:
        Throttled: Other writers kept changing the item until the deadline.
        QuillError: See `quill_models.errors`.
    """
    driver = Driver(table, [write])
    driver.run()
    return driver.results[0]


def _contention(write: Write[Any], deadline: timedelta) -> QuillError:
    key = write.actions[0].key
    return Throttled(
        f"Other writers kept changing the item {key.pk} / {key.sk} for "
        f"{deadline.total_seconds():g} seconds (QUILL_DEADLINE_SECONDS). Retry the write."
    )
