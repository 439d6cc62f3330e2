"""Many writes in few requests, as if they were done one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, Generic, TypeGuard, TypeVar

from quill_models.actions import TRANSACTION_ACTIONS, check_action
from quill_models.chunk import Chunk, Prefer
from quill_models.errors import InvalidPayload, InvalidValue, PartialWriteError, QuillError
from quill_models.observation import Threads
from quill_models.table import Table
from quill_models.transaction_plan import TransactionPlan
from quill_models.writes import Write

__all__ = ["IN_FLIGHT", "send_many"]

# Chunks on their way at once: while the server works on some, the next are prepared.
IN_FLIGHT = 4

In = TypeVar("In")
R = TypeVar("R")


def send_many(
    table: Table,
    write_of: Callable[[In], Write[R]],
    inputs: Iterable[In],
    prefer: Prefer = Prefer.SPEED,
) -> Iterator[R]:
    """Carry out the writes of many inputs, their outcomes in order.

    In chunks that fit into a transaction of up to 100 actions and 4 MB: one request where nothing
    is stored yet, one where all is, two for a mixture. After a chunk that mostly was stored
    already, the next one is read before it is written. Up to four chunks are on their way at
    once, unless they share a key; writes that share one are done one after the other, in order.

    Raises:
        PartialWriteError: the table stopped answering; ``pending`` holds the inputs taken from
            the iterable whose outcome is not known.
        InvalidValue, InvalidPayload: an input that cannot be stored; all before it are.
        Exception: the iterable's own; all that came before it is stored.
    """
    source = _Source(table, write_of, inputs)
    flights: deque[_Flight[In, R]] = deque()
    look_first = False
    landed = 0
    with ExitStack() as pools:
        pool: Threads | None = None
        while not source.ended:
            flight = _Flight(*source.take(look_first, prefer))
            # One at first, which tells what to expect of the next; then more and more.
            while flights and (
                len(flights) >= min(IN_FLIGHT, landed)
                or not all(flight.chunk.is_apart_from(other.chunk) for other in flights)
            ):
                look_first, results = _land(flights, [*flight.taken, *source.held])
                landed += 1
                yield from results
            if pool is None and landed and not source.ended:
                pool = pools.enter_context(Threads(IN_FLIGHT, "quill-bulk"))
            flight.go(pool)
            flights.append(flight)
            while flights and flights[0].is_over:
                look_first, results = _land(flights, source.held)
                landed += 1
                yield from results
        while flights:
            _, results = _land(flights, source.held)
            yield from results
        # What came before the error is done with; now it may be told.
        if source.error is not None:
            raise source.error


class _Source(Generic[In, R]):
    """The inputs, as far as they were asked for, and the writes that they make.

    Attributes:
        ended: whether there is nothing more to come.
        error: why it ended before its time.
        held: what was taken from the iterable and is in no chunk yet.
    """

    def __init__(
        self, table: Table, write_of: Callable[[In], Write[R]], inputs: Iterable[In]
    ) -> None:
        self._table = table
        self._write_of = write_of
        self._inputs = iter(inputs)
        self.ended = False
        self.error: Exception | None = None
        self.held: list[In] = []

    def take(self, look_first: bool, prefer: Prefer) -> tuple[list[In], Chunk[R]]:  # noqa: FBT001
        """As many as one transaction holds, if each is new."""
        taken: list[In] = []
        writes: list[Write[R]] = []
        full = TransactionPlan()
        while len(writes) < TRANSACTION_ACTIONS:
            try:
                if not self.held:
                    self.held.append(next(self._inputs))
            except StopIteration:
                self.ended = True
                break
            except Exception as error:  # noqa: BLE001 -- raised, once what it gave is written
                self.ended, self.error = True, error
                break
            try:
                write = self._prepared(self.held[0])
            except Exception as error:  # noqa: BLE001 -- raised, once what came before is written
                self.ended, self.error = True, error
                if _is_the_tables(error):
                    self.error = _partial(error, [], self.held)
                    self.error.__cause__ = error
                break
            if not full.takes(len(writes), write.actions()):
                break
            taken.append(self.held.pop())
            writes.append(write)
        return taken, Chunk(self._table, writes, prefer, look_first=look_first)

    def _prepared(self, one: In) -> Write[R]:
        write = self._write_of(one)
        for action in write.actions():
            check_action(action)
        return write


def _is_the_tables(error: Exception) -> TypeGuard[QuillError]:
    """Whether it is not the input that is at fault."""
    return isinstance(error, QuillError) and not isinstance(error, InvalidValue | InvalidPayload)


class _Flight(Generic[In, R]):
    """A chunk on its way, with the inputs it was made of."""

    def __init__(self, taken: Sequence[In], chunk: Chunk[R]) -> None:
        self.taken = taken
        self.chunk = chunk
        self._sent: Future[None] = Future()

    def go(self, pool: Threads | None) -> None:
        """Send it: in a thread of the pool, else here and now."""
        if pool is not None:
            self._sent = pool.submit(self.chunk.send)
            return
        try:
            self.chunk.send()
        except QuillError as error:
            self._sent.set_exception(error)
        else:
            self._sent.set_result(None)

    @property
    def is_over(self) -> bool:
        """Whether it has landed, or failed to."""
        return self._sent.done()

    def failure(self) -> QuillError | None:
        """Wait for it to land; why it did not."""
        try:
            self._sent.result()
        except QuillError as error:
            return error
        return None

    def results(self) -> list[R]:
        """What is known, in order."""
        return [self.chunk.results[at] for at in sorted(self.chunk.results)]

    def pending(self) -> list[In]:
        """The inputs whose outcome is not known."""
        return [one for at, one in enumerate(self.taken) if at not in self.chunk.results]


def _land(flights: deque[_Flight[In, R]], not_sent: Sequence[In]) -> tuple[bool, list[R]]:
    """Wait for the first flight: whether most of it was known already, and its results."""
    first = flights.popleft()
    error = first.failure()
    if error is None:
        return first.chunk.was_mostly_known, first.results()
    lost = [first, *flights]
    flights.clear()
    for other in lost:
        other.failure()
    raise _partial(
        error,
        [result for flight in lost for result in flight.results()],
        [*(one for flight in lost for one in flight.pending()), *not_sent],
    ) from error


def _partial(
    error: QuillError, results: Sequence[Any], pending: Sequence[Any]
) -> PartialWriteError:
    return PartialWriteError(
        f"{error}\nThis ended a bulk write: what was written stays, and sending all of it "
        "again is safe.",
        results=results,
        pending=list(pending),
    )
