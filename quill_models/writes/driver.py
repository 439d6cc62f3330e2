"""Up to a hundred writes on their way together, as if they were done one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from quill_models.dynamodb.backoff import Backoff
from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.table import Table
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
from quill_models.writes.write import Write

__all__ = ["Chunk", "Prefer", "contended", "send"]

R = TypeVar("R")


class Prefer(StrEnum):
    """What a bulk write is to save where it cannot save both."""

    SPEED = "speed"
    """In transactions of up to a hundred items, the fewest requests, at twice the write units."""
    COST = "cost"
    """Items that stand alone are written outside transactions, at half of that, 25 in a request."""


class Chunk(Generic[R]):
    """Writes whose actions fit into one transaction, as long as none is refused.

    Attributes:
        results: the outcomes that are known, by the number of the write.
        keys: of all first actions.
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
        self.keys = {action.key for write in writes for action in write.actions()}
        # What is stored under a key, as far as a read or the writes before have shown it.
        self._stored: dict[Key, RawItem] = {}
        # Writes that have been told of it.
        self._told: set[int] = set()
        # Writes that wait for all before them, one of which may give up what they want.
        self._held: set[int] = set()
        # Writes that others kept out. They go into transactions of their own, which get smaller:
        # one contended key must not keep ninety-nine other writes waiting.
        self._crowded: set[int] = set()
        self._crowded_limit = TRANSACTION_ACTIONS
        self._refused = 0

    def is_apart_from(self, other: Chunk[R]) -> bool:
        """Whether both may be on their way at once, and neither can tell."""
        return (
            self.keys.isdisjoint(other.keys)
            and all(write.fixed_keys for write in self._writes)
            and all(write.fixed_keys for write in other._writes)
        )

    @property
    def was_mostly_known(self) -> bool:
        """Whether most of its writes met an item: then a read first is cheaper for the next."""
        return self._refused * 2 > len(self._writes)

    def send(self) -> None:
        """Send rounds of transactions until each write has its outcome.

        Raises:
            Throttled: other writers kept changing an item until the deadline.
            QuillError: see `quill_models.errors`. `results` has what is known.
        """
        if self._look_first:
            self._look()
        backoff = Backoff(self._table.settings.deadline)
        in_a_hurry = True
        while waiting := self._waiting():
            before = len(self.results)
            moved = False
            for transaction in self._transactions(waiting):
                moved |= self._send_one(transaction)
            if len(self.results) > before:
                backoff = Backoff(self._table.settings.deadline)
                in_a_hurry = True
            elif moved and in_a_hurry:
                # Refused writes know better now, and need not wait for anybody.
                in_a_hurry = False
            elif not backoff.wait("Contention"):
                raise contended(self._writes[waiting[0]], self._table.settings.deadline)

    def _waiting(self) -> list[int]:
        """The writes whose outcome is not known, by number."""
        return [at for at in range(len(self._writes)) if at not in self.results]

    def _look(self) -> None:
        """Read what is stored: where most writes meet an item, that costs a tenth of trying."""
        firsts = (write.actions()[0] for write in self._writes)
        keys = [
            first.key
            for first in firsts
            if isinstance(first, Put) and first.condition.wants_absence
        ]
        self._stored.update(self._table.get_many(keys))

    def _transactions(self, waiting: Sequence[int]) -> Iterator[TransactionPlan]:
        """Which writes go into which transaction of this round; some wait for the next round."""
        touched: set[Key] = set()
        plain, crowded = TransactionPlan(), TransactionPlan(self._crowded_limit)
        for at in waiting:
            # The same key twice in one transaction is refused, and in two of one round it would
            # be up to chance which is first.
            waits = self._touches(at, touched) or self._held_back(at)
            # Told what is stored, it may be done, or want other actions.
            if waits or self._is_settled(at) or self._touches(at, touched):
                touched |= self._keys_of(at)
                continue
            touched |= self._keys_of(at)
            own = self._writes[at].actions()
            if at in self._crowded:
                if not crowded.takes(at, own):
                    yield crowded
                    crowded = TransactionPlan(self._crowded_limit)
                    crowded.takes(at, own)
            elif not plain.takes(at, own):
                yield plain
                plain = TransactionPlan()
                plain.takes(at, own)
        for transaction in (plain, crowded):
            if transaction.writes:
                yield transaction

    def _keys_of(self, at: int) -> set[Key]:
        """The keys that no other write of the round may touch; additions go with each other."""
        return {action.key for action in self._writes[at].actions() if not isinstance(action, Add)}

    def _touches(self, at: int, touched: set[Key]) -> bool:
        return any(action.key in touched for action in self._writes[at].actions())

    def _held_back(self, at: int) -> bool:
        return at in self._held and self._any_before(at)

    def _any_before(self, at: int) -> bool:
        """Whether the outcome of a write before this one is not known."""
        return any(before not in self.results for before in range(at))

    def _is_settled(self, at: int) -> bool:
        """Whether what is known to be stored decides this write, without a request."""
        own = self._writes[at].actions()
        stored = self._stored.get(own[0].key)
        if stored is None or at in self._told:
            return False
        self._told.add(at)
        self._refuse(at, [Refusal(stored), *(None for _ in own[1:])])
        return at in self.results

    def _refuse(self, at: int, refusals: Sequence[Refusal | None]) -> None:
        result = self._writes[at].refused(refusals)
        if result is not None:
            self.results[at] = result
            self._refused += 1

    def _send_one(self, transaction: TransactionPlan) -> bool:
        """Send one transaction; whether it brought any write forward."""
        if self._prefer is Prefer.SPEED:
            return self._send_together(transaction)
        alone: dict[int, Put] = {}
        together = TransactionPlan()
        for at, own in transaction.writes.items():
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
            answers = zip(inserts.items(), not_done.refusals, not_done.busy, strict=True)
            for (at, put), refusal, busy in answers:
                if not busy:
                    moved = True
                    self._settle(at, [put], None if refusal is None else [refusal])
        for at, put in puts.items():
            if at not in inserts:
                moved = True
                refused = do_one(self._table, [put])
                self._settle(at, [put], None if refused is None else refused.refusals)
        return moved

    def _settle(
        self, at: int, own: Sequence[Action], refusals: Sequence[Refusal | None] | None
    ) -> None:
        """Tell a write what became of it."""
        if refusals is None:
            self._know(own[0].key, own[0].item if isinstance(own[0], Put) else None)
            self.results[at] = self._writes[at].done()
            return
        if refusals[0] is not None:
            self._know(own[0].key, refusals[0].item)
        self._refuse(at, refusals)

    def _send_together(self, transaction: TransactionPlan) -> bool:
        not_done = transaction.send(self._table)
        if not_done is None:
            for at, own in transaction.writes.items():
                self._settle(at, own, None)
            return True
        self._avoid(transaction, not_done)
        moved = False
        for at, own in transaction.writes.items():
            refusals = transaction.refusals_of(at, not_done)
            if not any(refusals):
                continue
            moved = True
            if refusals[0] is None and self._any_before(at):
                # Another item has its second identity; a write before it may yet give that up.
                self._held.add(at)
                continue
            self._settle(at, own, refusals)
        return moved

    def _avoid(self, transaction: TransactionPlan, not_done: NotDone) -> None:
        """Keep writes that others kept out apart from the rest."""
        crowded = transaction.crowded(not_done)
        if crowded & self._crowded and len(transaction.crowded_keys(not_done)) > 1:
            self._crowded_limit = max(1, self._crowded_limit // 2)
        self._crowded |= crowded

    def _know(self, key: Key, item: RawItem | None) -> None:
        if item is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = item


def send(table: Table, write: Write[R]) -> R:
    """Carry out one write: a plain request where one action does, else a transaction.

    Raises:
        Throttled: other writers kept changing the item until the deadline.
        QuillError: see `quill_models.errors`.
    """
    backoff = Backoff(table.settings.deadline)
    told = False
    while True:
        actions = write.actions()
        for action in actions:
            check_action(action)
        not_done = do_one(table, actions)
        if not_done is None:
            return write.done()
        if any(not_done.refusals):
            result = write.refused(not_done.refusals)
            if result is not None:
                return result
            if not told:
                # It knows better now, and need not wait for anybody.
                told = True
                continue
        if not backoff.wait("Contention"):
            raise contended(write, table.settings.deadline)


def contended(write: Write[Any], deadline: timedelta) -> QuillError:
    """The error for a write that other writers kept out until the deadline."""
    key = write.actions()[0].key
    return Throttled(
        f"Other writers kept changing {key.pk} / {key.sk} for {deadline.total_seconds():g} seconds "
        "(QUILL_DEADLINE_SECONDS). Sending it again is safe."
    )
