"""Many writes in few requests, as if they were done one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Any, Generic, TypeGuard, TypeVar

from quill_models.dynamodb.table import Table
from quill_models.telemetry.operations import Threads
from quill_models.values.checks import choice
from quill_models.values.errors import InvalidPayload, InvalidValue, QuillError
from quill_models.writes.actions import TRANSACTION_ACTIONS, TransactionPlan, check_action
from quill_models.writes.driver import Chunk, Prefer
from quill_models.writes.results import PartialWriteError, WriteResult
from quill_models.writes.write import Write

__all__ = ["IN_FLIGHT", "iter_many", "list_many", "send_many"]

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


# Bulk calls over models: the `*_many` and `iter_*_many` of the repositories.


M = TypeVar("M")
WriteOf = Callable[[Table, M], Write[WriteResult[M]]]


def iter_many(
    table: Table, write_of: WriteOf[M], models: Iterable[M], prefer: Prefer | str = Prefer.SPEED
) -> Iterator[WriteResult[M]]:
    """The results in input order, as they come; see `send_many`.

    Raises:
        PartialWriteError: ``results`` and ``pending`` cover the models taken from the iterable
            whose results were not yet given.
    """
    return send_many(table, partial(write_of, table), models, choice(Prefer, prefer, "prefer"))


def list_many(
    table: Table, write_of: WriteOf[M], models: Iterable[M], prefer: Prefer | str = Prefer.SPEED
) -> list[WriteResult[M]]:
    """All results in input order.

    Raises:
        PartialWriteError: ``results`` and ``pending`` cover all the input.
    """
    source = _Given(models)
    results: list[WriteResult[Any]] = []
    try:
        results.extend(iter_many(table, write_of, source, prefer))
    except PartialWriteError as error:
        if error is source.error:
            # Of another bulk write, whose results are the models here.
            raise
        pending = [*error.pending, *_rest(source, error)]
        known = [*results, *error.results]
        raise PartialWriteError(
            f"{error} The outcome of {len(known)} is known (.results); {len(pending)} are "
            "pending (.pending) and safe to send again.",
            results=known,
            pending=pending,
        ) from error
    return results


class _Given(Iterator[M]):
    """The models, and the error that they end with."""

    def __init__(self, models: Iterable[M]) -> None:
        self._models = iter(models)
        self.error: Exception | None = None

    def __next__(self) -> M:
        try:
            return next(self._models)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise


def _rest(source: Iterator[M], error: PartialWriteError) -> list[M]:
    rest: list[M] = []
    try:
        rest.extend(source)
    except Exception as also:  # noqa: BLE001 -- what is known must not be lost over it
        error.add_note(f"The input ended with an error of its own: {also!r}")
    return rest
