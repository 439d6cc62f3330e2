"""Many writes in few requests, as if they were done one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from quill_models.actions import Action, Put, Refusal, check_action, do_all
from quill_models.errors import InvalidPayload, InvalidValue, PartialWriteError, QuillError
from quill_models.keys import Key
from quill_models.table import RawItem, Table
from quill_models.writes import RETRIES, Write, contended, wait

__all__ = ["send_many"]

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
TRANSACTION_ACTIONS = 100
TRANSACTION_BYTES = 4 * 1024 * 1024
# Writes taken from an iterable at a time. As many as one transaction holds of one action each.
CHUNK = TRANSACTION_ACTIONS

In = TypeVar("In")
R = TypeVar("R")


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
        InvalidValue, InvalidPayload: an input that cannot be stored; all before it are.
    """
    source = iter(inputs)
    while True:
        taken, end = _take(source)
        writes, invalid = _prepared(table, write_of, taken)
        yield from _send_chunk(table, taken, writes)
        # What came before the error is done with; now it may be told.
        error = invalid or end
        if error is not None:
            raise error
        if len(taken) < CHUNK:
            return


def _take(source: Iterator[In]) -> tuple[list[In], Exception | None]:
    """Up to a hundred inputs, and the error with which their source ended, if it did so."""
    taken: list[In] = []
    try:
        taken.extend(islice(source, CHUNK))
    except Exception as error:  # noqa: BLE001 -- raised again, once what it gave is written
        return taken, error
    return taken, None


def _prepared(
    table: Table, write_of: Callable[[In], Write[R]], taken: Sequence[In]
) -> tuple[list[Write[R]], QuillError | None]:
    """The writes of the inputs up to the first that cannot be stored, and why it cannot."""
    writes: list[Write[R]] = []
    if not taken:
        return writes, None
    try:
        # A request once a minute, by which the first write would find the table missing.
        _ = table.shards
    except QuillError as error:
        raise _partial(error, [], taken) from error
    for one in taken:
        try:
            write = write_of(one)
            for action in write.actions():
                check_action(action)
        except (InvalidValue, InvalidPayload) as error:
            return writes, error
        writes.append(write)
    return writes, None


def _send_chunk(table: Table, taken: Sequence[In], writes: Sequence[Write[R]]) -> list[R]:
    chunk = _Chunk(table, writes)
    try:
        chunk.send()
    except QuillError as error:
        results = chunk.results
        pending = [one for at, one in enumerate(taken) if at not in results]
        raise _partial(error, [results[at] for at in sorted(results)], pending) from error
    return [chunk.results[at] for at in range(len(writes))]


def _partial(error: QuillError, results: Sequence[Any], pending: Sequence[Any]) -> QuillError:
    return PartialWriteError(
        f"{error}\nThis ended a bulk write: what was written stays, and sending all of it "
        "again is safe.",
        results=results,
        pending=pending,
    )


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
        # Writes that wait for all before them, one of which may give up what they want.
        self._held: set[int] = set()
        # Halved each time other writers cancel a transaction: one contended key must not keep
        # ninety-nine other writes waiting.
        self._actions = TRANSACTION_ACTIONS

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
            if standstills >= RETRIES:
                raise contended(self._writes[waiting[0]])
            if not moved or standstills > 1:
                wait(standstills)

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
            if keys & touched or self._held_back(at) or self._settled_by_those_before(at, own):
                touched |= keys
                continue
            # Told what is stored, it may want other actions.
            own = self._writes[at].actions()
            keys = {action.key for action in own}
            if keys & touched:
                touched |= keys
                continue
            touched |= keys
            own_size = sum(action.size for action in own)
            if batch and (
                actions + len(own) > self._actions or size + own_size > TRANSACTION_BYTES
            ):
                yield batch
                batch, actions, size = [], 0, 0
            batch.append(at)
            actions += len(own)
            size += own_size
        if batch:
            yield batch

    def _held_back(self, at: int) -> bool:
        return at in self._held and self._any_before(at)

    def _any_before(self, at: int) -> bool:
        """Whether the outcome of a write before this one is not known."""
        return any(before not in self.results for before in range(at))

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
        refusals = do_all(self._table, [action for actions in own for action in actions])
        if refusals is None:
            for at, actions in zip(batch, own, strict=True):
                self._know(actions[0].key, actions[0].item if isinstance(actions[0], Put) else None)
                self.results[at] = self._writes[at].done()
            return True
        if not any(refusals):
            self._actions = max(1, self._actions // 2)
            return False
        moved = False
        start = 0
        for at, actions in zip(batch, own, strict=True):
            mine = refusals[start : start + len(actions)]
            start += len(actions)
            if not any(mine):
                continue
            moved = True
            if mine[0] is None and self._any_before(at):
                # Another item has its second identity; a write before it may yet give that up.
                self._held.add(at)
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
