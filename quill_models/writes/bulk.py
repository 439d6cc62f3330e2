"""Many writes in few requests, with the effect of single writes in order."""

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
from quill_models.values.errors import InvalidPayload, InvalidValue, QuillError, message_of
from quill_models.writes.actions import TRANSACTION_ACTIONS, TransactionPlan, check_action
from quill_models.writes.driver import Driver, Prefer
from quill_models.writes.results import PartialWriteError
from quill_models.writes.write import Write

__all__ = ["IN_FLIGHT", "iter_many", "list_many"]

# The maximum number of drivers in flight; meanwhile the client prepares the next ones.
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
    """Write many inputs and return all outcomes in order; see `iter_many`.

    Raises:
        PartialWriteError: ``results`` and ``pending`` cover the complete input.
    """
    source = _Inputs(table, write_of, inputs, prefer)
    results: list[R] = []
    try:
        results.extend(_results_of(source))
    except PartialWriteError as error:
        if error is source.error and not source.held:
            # The error is from another bulk write, whose results are the inputs here.
            raise
        pending = [*error.pending, *source.rest(error)]
        known: list[Any] = [*results, *error.results]
        raise PartialWriteError(
            f"{error} {len(known)} outcomes are known (.results), {len(pending)} inputs are "
            "pending (.pending).",
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
    """Write many inputs and yield their outcomes in order.

    Each driver takes the inputs of one transaction of up to 100 actions and 4 MB. It sends one
    request if none or all of them are stored, else two. After a driver whose inputs were mostly
    stored, the next one reads before it writes. Up to four drivers are in flight, unless they share
    a key. Writes that share a key are sent in order.

    Raises:
        PartialWriteError: The table stopped responding. ``pending`` has the inputs taken from the
            iterable whose outcome is unknown.
        InvalidValue, InvalidPayload: An input cannot be stored; the inputs before it are written.
        Exception: The error of the iterable; the inputs before it are written.
    """
    return _results_of(_Inputs(table, write_of, inputs, prefer))


def _results_of(source: _Inputs[In, R]) -> Iterator[R]:
    flights: deque[_Flight[In, R]] = deque()
    read_first = False
    landed = 0
    with ExitStack() as pools:
        pool: Threads | None = None
        while not source.ended:
            flight = source.take(read_first=read_first)
            # The first driver shows what to expect; then more and more are in flight.
            while flights and (
                len(flights) >= min(IN_FLIGHT, landed)
                or not all(flight.driver.is_apart_from(other.driver) for other in flights)
            ):
                read_first, results = _land(flights, [*flight.taken, *source.held])
                landed += 1
                yield from results
            if pool is None and landed and not source.ended:
                pool = pools.enter_context(Threads(IN_FLIGHT, "quill-bulk"))
            flight.go(pool)
            flights.append(flight)
            while flights and (source.ended or flights[0].sent.done()):
                read_first, results = _land(flights, source.held)
                landed += 1
                yield from results
        # The inputs before the error are written.
        if source.error is not None:
            raise source.error


class _Inputs(Generic[In, R]):
    """The inputs taken from the iterable, and their writes.

    Attributes:
        ended: Whether there are no more inputs.
        error: The error that ended the inputs early.
        held: The input that was taken but is not in flight. Empty after an error of the iterable.
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

    def take(self, *, read_first: bool) -> _Flight[In, R]:
        """Take the inputs that fit in one transaction if all are new."""
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
        except Exception as error:  # noqa: BLE001 -- raised after the inputs before it
            self.ended, self.error = True, error
            if (
                self.held
                and isinstance(error, QuillError)
                and not isinstance(error, InvalidValue | InvalidPayload)
            ):
                # Building the write sent a request that failed; the input itself is valid.
                self.error = _partial(error, [], self.held)
                self.error.__cause__ = error
        return _Flight(taken, Driver(self._table, writes, self._prefer, read_first=read_first))

    def rest(self, error: PartialWriteError) -> list[In]:
        """Return the inputs that were not taken; note an error of the iterable on ``error``."""
        rest: list[In] = []
        try:
            rest.extend(self._inputs)
        except Exception as also:  # noqa: BLE001 -- known outcomes must not be lost
            error.add_note(f"The input then raised {type(also).__name__}: {message_of(also)}")
        return rest


class _Flight(Generic[In, R]):
    """A driver in flight, with its inputs; ``sent`` is its future."""

    def __init__(self, taken: Sequence[In], driver: Driver[R]) -> None:
        self.taken = taken
        self.driver = driver
        self.sent: Future[None] = Future()

    def go(self, pool: Threads | None) -> None:
        """Run the driver in a thread of the pool, or in this thread without a pool."""
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
        """Wait for the driver, and return its error, if any."""
        try:
            self.sent.result()
        except QuillError as error:
            return error
        return None

    def results(self) -> list[R]:
        """Return the known outcomes in order."""
        return [self.driver.results[at] for at in sorted(self.driver.results)]

    def pending(self) -> list[In]:
        """Return the inputs whose outcome is unknown."""
        return [one for at, one in enumerate(self.taken) if at not in self.driver.results]


def _land(flights: deque[_Flight[In, R]], not_sent: Sequence[In]) -> tuple[bool, list[R]]:
    """Wait for the first flight. Return whether most of it was stored, and its results."""
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
        f"{error}\nThe bulk write stopped here. Items already written are kept. Retry the complete "
        "call; it is idempotent.",
        results=results,
        pending=list(pending),
    )
