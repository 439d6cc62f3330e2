"""The one driver of writes: it sends their actions in rounds until each write has its outcome.

One write alone, up to a hundred of a bulk write, and all writes of a transaction go the same way.
Writes that share a key are done one after the other.
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
    """What a bulk write is to save where it cannot save both."""

    SPEED = "speed"
    """In transactions of up to a hundred items, the fewest requests, at twice the write units."""
    COST = "cost"
    """Items that stand alone are written outside transactions, at half of that, 25 in a request."""


class Driver(Generic[R]):
    """Writes whose actions fit into one transaction, as long as none is refused.

    Attributes:
        results: The known outcomes, by the number of the write.
    """

    def __init__(
        self,
        table: Table,
        writes: Sequence[Write[R]],
        prefer: Prefer = Prefer.SPEED,
        *,
        look_first: bool = False,
    ) -> None:
        self._table = table
        self._writes = writes
        self._prefer = prefer
        self._look_first = look_first
        self.results: dict[int, R] = {}
        # What is stored under a key, as far as a read or earlier writes have shown it.
        self._stored: dict[Key, RawItem] = {}
        # Writes that were refused before.
        self._informed: set[int] = set()
        # Writes that wait for all before them, one of which may give up what they want.
        self._held: set[int] = set()
        # Writes that others kept out. They go into transactions of their own, which get smaller:
        # one contended key must not delay ninety-nine other writes.
        self._contended: set[int] = set()
        self._contended_limit = TRANSACTION_ACTIONS
        self._refused = 0

    @cached_property
    def keys(self) -> set[Key]:
        """The keys of all first actions."""
        return {action.key for write in self._writes for action in write.actions}

    def is_apart_from(self, other: Driver[R]) -> bool:
        """Whether both may be in flight at once without affecting each other."""
        return (
            self.keys.isdisjoint(other.keys)
            and all(write.fixed_keys for write in self._writes)
            and all(write.fixed_keys for write in other._writes)
        )

    @property
    def was_mostly_known(self) -> bool:
        """Whether most of its writes met an item: then a read first is cheaper for the next."""
        return self._refused * 2 > len(self._writes)

    def run(self) -> None:
        """Send rounds of requests until each write has its outcome.

        Raises:
            Throttled: Other writers kept changing an item until the deadline.
            QuillError: See `quill_models.errors`. `results` has the known outcomes.
        """
        if self._look_first:
            self._look()
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
                # Refused writes name other actions now, and no other writer is in the way.
                may_retry_at_once = False
            else:
                backoff = backoff or Backoff(self._table.settings.deadline, started)
                if not backoff.wait("Contention"):
                    raise _contention(self._writes[waiting[0]], self._table.settings.deadline)

    def _waiting(self) -> list[int]:
        """The writes whose outcome is not known, by number."""
        return [at for at in range(len(self._writes)) if at not in self.results]

    def _look(self) -> None:
        """Read what is stored: if most writes meet an item, that costs a tenth of trying."""
        firsts = (write.actions[0] for write in self._writes)
        keys = [
            first.key
            for first in firsts
            if isinstance(first, Put) and first.condition.wants_absence
        ]
        self._stored.update(self._table.get_many(keys))

    # Which writes go into which request of a round.

    def _plans(self, waiting: Sequence[int]) -> Iterator[TransactionPlan]:
        """The transactions of this round; some writes wait for the next round."""
        touched: set[Key] = set()
        plain, contended = TransactionPlan(), TransactionPlan(self._contended_limit)
        for at in waiting:
            # The same key twice in one transaction is refused, and in two of one round it would
            # be up to chance which is first.
            waits = self._touches(at, touched) or (at in self._held and self._any_before(at))
            # What is known to be stored may settle it, or make it name other actions.
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
        """The keys that no other write of the round may touch; additions go with each other."""
        return {action.key for action in self._writes[at].actions if not isinstance(action, Add)}

    def _touches(self, at: int, touched: set[Key]) -> bool:
        return any(action.key in touched for action in self._writes[at].actions)

    def _any_before(self, at: int) -> bool:
        """Whether the outcome of a write before this one is not known."""
        return any(before not in self.results for before in range(at))

    def _is_settled(self, at: int) -> bool:
        """Whether what is known to be stored decides this write, without a request."""
        own = self._writes[at].actions
        stored = self._stored.get(own[0].key)
        if stored is None or at in self._informed:
            return False
        self._settle(at, own, [Refusal(stored), *(None for _ in own[1:])])
        return at in self.results

    # Requests, and what they did.

    def _send(self, plan: TransactionPlan) -> bool:
        """Send one plan; whether it brought any write forward."""
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
        """Send writes of one put each outside of a transaction."""
        inserts = {at: put for at, put in puts.items() if put.condition.wants_absence and fits(put)}
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
                # Another item has its second identity; a write before it may yet give that up.
                self._held.add(at)
                continue
            self._settle(at, own, refusals)
        return moved

    def _set_apart(self, plan: TransactionPlan, not_done: NotDone) -> None:
        """Keep writes that others kept out apart from the rest."""
        contended = plan.contended(not_done)
        if contended & self._contended and len(plan.contended_keys(not_done)) > 1:
            self._contended_limit = max(1, self._contended_limit // 2)
        self._contended |= contended

    def _settle(
        self, at: int, own: Sequence[Action], refusals: Sequence[Refusal | None] | None
    ) -> None:
        """Take in what happened to a write: done if there are no refusals."""
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
    """Carry out one write: a plain request if one action does, else a transaction.

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
        f"Other writers kept changing {key.pk} / {key.sk} for {deadline.total_seconds():g} seconds "
        "(QUILL_DEADLINE_SECONDS). Sending it again is safe."
    )
