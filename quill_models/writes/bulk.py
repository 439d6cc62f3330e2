"""Many writes in few requests, as if they were done one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from itertools import islice
from typing import Any, Generic, TypeVar

from quill_models.dynamodb.table import Table
from quill_models.telemetry.operations import Threads
from quill_models.values.conversion import choice
from quill_models.values.errors import InvalidPayload, InvalidValue, QuillError
from quill_models.writes.actions import TRANSACTION_ACTIONS, TransactionPlan, check_action
from quill_models.writes.driver import Driver, Prefer
from quill_models.writes.results import PartialWriteError
from quill_models.writes.write import Write

__all__ = ["IN_FLIGHT", "iter_many", "list_many"]

# Drivers in flight at once: while the server works on some, the next are prepared.
IN_FLIGHT = 4

In = TypeVar("In")
R = TypeVar("R")
WriteOf = Callable[[Table, In], Write[R]]


def list_many(
    table: Table,
    write_of: WriteOf[In, R],
    inputs: Iterable[In],
    prefer: Prefer | str = Prefer.SPEED,
) -> list[R]:
    """Carry out the writes of many inputs and return all outcomes in order; see `iter_many`.

    Raises:
        PartialWriteError: ``results`` and ``pending`` cover all the input.
    """
    source = _Inputs(table, write_of, inputs, prefer)
    results: list[R] = []
    try:
        results.extend(_flown(source))
    except PartialWriteError as error:
        if error is source.error and not source.held:
            # Of another bulk write, whose results are the inputs here.
            raise
        pending = [*error.pending, *source.rest(error)]
        known: list[Any] = [*results, *error.results]
        raise PartialWriteError(
            f"{error} The outcome of {len(known)} is known (.results); {len(pending)} are "
            "pending (.pending) and safe to send again.",
            results=known,
            pending=pending,
        ) from error
    return results


def iter_many(
    table: Table,
    write_of: WriteOf[In, R],
    inputs: Iterable[In],
    prefer: Prefer | str = Prefer.SPEED,
) -> Iterator[R]:
    """Carry out the writes of many inputs, and yield their outcomes in order, as they come.

    Each driver takes what fits into a transaction of up to 100 actions and 4 MB: one request if
    nothing is stored yet, one if all is, two for a mixture. After a driver whose writes were mostly
    stored already, the next one reads before it writes. Up to four are in flight at once, unless
    they share a key; writes that share one are done one after the other, in order.

    Raises:
        PartialWriteError: The table stopped responding; ``pending`` holds the inputs taken from
            the iterable whose outcome is not known.
        InvalidValue, InvalidPayload: An input that cannot be stored; all before it are.
        Exception: The iterable's own; all that came before it is stored.
    """
    return _flown(_Inputs(table, write_of, inputs, prefer))


def _flown(source: _Inputs[In, R]) -> Iterator[R]:
    flights: deque[_Flight[In, R]] = deque()
    look_first = False
    landed = 0
    with ExitStack() as pools:
        pool: Threads | None = None
        while not source.ended:
            flight = source.take(look_first=look_first)
            # One at first, which shows what to expect of the next; then more and more.
            while flights and (
                len(flights) >= min(IN_FLIGHT, landed)
                or not all(flight.driver.is_apart_from(other.driver) for other in flights)
            ):
                look_first, results = _land(flights, [*flight.taken, *source.held])
                landed += 1
                yield from results
            if pool is None and landed and not source.ended:
                pool = pools.enter_context(Threads(IN_FLIGHT, "quill-bulk"))
            flight.go(pool)
            flights.append(flight)
            while flights and (source.ended or flights[0].sent.done()):
                look_first, results = _land(flights, source.held)
                landed += 1
                yield from results
        # What came before the error is written; now the error may be raised.
        if source.error is not None:
            raise source.error


class _Inputs(Generic[In, R]):
    """The inputs, as far as they were asked for, and the writes that they make.

    Attributes:
        ended: Whether there is nothing more to come.
        error: Why it ended before its time.
        held: The input taken from the iterable that is in no flight yet. After an error of the
            iterable itself there is none.
    """

    def __init__(
        self, table: Table, write_of: WriteOf[In, R], inputs: Iterable[In], prefer: Prefer | str
    ) -> None:
        self._table = table
        self._write_of = write_of
        self._inputs = iter(inputs)
        self._prefer = prefer if isinstance(prefer, Prefer) else choice(Prefer, prefer, "prefer")
        self.ended = False
        self.error: Exception | None = None
        self.held: list[In] = []

    def take(self, *, look_first: bool) -> _Flight[In, R]:
        """As many as one transaction holds, if each is new."""
        taken: list[In] = []
        writes: list[Write[R]] = []
        plan = TransactionPlan()
        try:
            while len(writes) < TRANSACTION_ACTIONS:
                if not self.held:
                    self.held.extend(islice(self._inputs, 1))
                if not self.held:
                    self.ended = True
                    break
                write = self._write_of(self._table, self.held[0])
                for action in write.actions:
                    check_action(action)
                if not plan.takes(len(writes), write.actions):
                    break
                taken.append(self.held.pop())
                writes.append(write)
        except Exception as error:  # noqa: BLE001 -- raised, once what came before is written
            self.ended, self.error = True, error
            if (
                self.held
                and isinstance(error, QuillError)
                and not isinstance(error, InvalidValue | InvalidPayload)
            ):
                # Not the input is at fault, but the table, which its write has asked.
                self.error = _partial(error, [], self.held)
                self.error.__cause__ = error
        return _Flight(taken, Driver(self._table, writes, self._prefer, look_first=look_first))

    def rest(self, error: PartialWriteError) -> list[In]:
        """The inputs that were not taken; an error of the iterable becomes a note on another."""
        rest: list[In] = []
        try:
            rest.extend(self._inputs)
        except Exception as also:  # noqa: BLE001 -- what is known must not be lost over it
            error.add_note(f"The input ended with an error of its own: {also!r}")
        return rest


class _Flight(Generic[In, R]):
    """A driver in flight, with the inputs it was made of; ``sent`` is done when it has landed."""

    def __init__(self, taken: Sequence[In], driver: Driver[R]) -> None:
        self.taken = taken
        self.driver = driver
        self.sent: Future[None] = Future()

    def go(self, pool: Threads | None) -> None:
        """Send it: in a thread of the pool, else here and now."""
        if pool is not None:
            self.sent = pool.submit(self.driver.run)
            return
        try:
            self.driver.run()
        except QuillError as error:
            self.sent.set_exception(error)
        else:
            self.sent.set_result(None)

    def failure(self) -> QuillError | None:
        """Wait for it to land, and return why it did not."""
        try:
            self.sent.result()
        except QuillError as error:
            return error
        return None

    def results(self) -> list[R]:
        """The known outcomes, in order."""
        return [self.driver.results[at] for at in sorted(self.driver.results)]

    def pending(self) -> list[In]:
        """The inputs whose outcome is not known."""
        return [one for at, one in enumerate(self.taken) if at not in self.driver.results]


def _land(flights: deque[_Flight[In, R]], not_sent: Sequence[In]) -> tuple[bool, list[R]]:
    """Wait for the first flight: whether most of it was known already, and its results."""
    first = flights.popleft()
    error = first.failure()
    if error is None:
        return first.driver.was_mostly_known, first.results()
    lost = [first, *flights]
    flights.clear()
    for other in lost:
        other.failure()
    results = [result for flight in lost for result in flight.results()]
    pending = [one for flight in lost for one in flight.pending()]
    raise _partial(error, results, [*pending, *not_sent]) from error


def _partial(
    error: QuillError, results: Sequence[Any], pending: Sequence[Any]
) -> PartialWriteError:
    return PartialWriteError(
        f"{error}\nThis ended a bulk write: what was written stays, and sending all of it "
        "again is safe.",
        results=results,
        pending=list(pending),
    )
