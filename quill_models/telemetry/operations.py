"""What is being done right now, for those who are told: the log, and a `Telemetry`.

An operation is one call of the public API, such as ``webhook_events.record_many``. A call is one
request of DynamoDB's API with all its tries. Which ones a piece of code works for stands in context
variables, which the threads of a `Threads` inherit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, Token, copy_context
from functools import partial, wraps
from threading import Lock
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, cast

from quill_models.telemetry.records import Retry, WireRequest, log_retry, table_of

__all__ = [
    "Call",
    "Operation",
    "Telemetry",
    "Threads",
    "begun",
    "count_outcome",
    "current_call",
    "current_operation",
    "followed",
    "operation",
    "retrying",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Telemetry(Protocol):
    """Who is told what a `Quill` does, in the thread that does it.

    `quill_models.telemetry.OpenTelemetry` is one. Whatever its methods raise reaches the caller of
    the operation: they should not raise.
    """

    def begin(self, doing: Operation | Call) -> Any:
        """An operation or a call begins. What is returned is kept as its ``span``."""

    def enter(self, doing: Operation | Call) -> Any:
        """This thread works for it from now on. What is returned is given to `leave`."""

    def leave(self, entered: Any) -> None:
        """This thread does something else again."""

    def request(self, request: WireRequest) -> None:
        """One try of a request was answered, or was not."""

    def retry(self, retry: Retry, of: Operation | Call) -> None:
        """Something is about to be tried again."""

    def end(self, doing: Operation | Call, error: BaseException | None) -> None:
        """An operation or a call has ended; without an error where an iterator was closed early."""


class _Doing:
    """What operations and calls share: a beginning, work in some threads, and an end.

    Attributes:
        telemetry: who is told of it, if anybody.
        span: what the telemetry made of it.
    """

    __slots__ = ("_entered", "_token", "span", "telemetry")

    def __init__(self, telemetry: Telemetry | None) -> None:
        self.telemetry = telemetry
        self.span: Any = None

    def _end(self, error: BaseException | None) -> None:
        if self.telemetry is not None:
            self.telemetry.end(cast("Operation | Call", self), error)


class _Client(Protocol):
    @property
    def telemetry(self) -> Telemetry | None: ...


class _Table(Protocol):
    name: str

    @property
    def client(self) -> _Client: ...


class Operation(_Doing):
    """One call of the public API. A context manager around it.

    Attributes:
        name: such as ``webhook_events.record_many``.
        table: the table's name.
        within: the operation that made it, if any: a migration reads and starts a job run.
        requests, retries, read_units, write_units: what it took, what was done within it included.
            Like ``outcomes`` there where a telemetry is told.
        outcomes: how many writes had which outcome.
    """

    __slots__ = (
        "_lock",
        "name",
        "outcomes",
        "read_units",
        "requests",
        "retries",
        "table",
        "within",
        "write_units",
    )

    def __init__(self, name: str, table: _Table) -> None:
        super().__init__(table.client.telemetry)
        self.name = name
        self.table = table.name
        if self.telemetry is not None:
            self._lock = Lock()
            self.within = _operation.get()
            self.requests = self.retries = 0
            self.read_units = self.write_units = 0.0
            self.outcomes: Counter[str] = Counter()

    def begin(self) -> None:
        """It begins, in no thread yet."""
        if self.telemetry is not None:
            self.span = self.telemetry.begin(self)

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Work for it in this thread."""
        token = _operation.set(self)
        entered = None if self.telemetry is None else self.telemetry.enter(self)
        try:
            return function(*args, **kwargs)
        finally:
            if self.telemetry is not None:
                self.telemetry.leave(entered)
            _operation.reset(token)

    def count(self, told: WireRequest | Retry) -> None:
        """Count what was done for it, in whatever thread."""
        if self.telemetry is None:
            return
        with self._lock:
            if isinstance(told, Retry):
                self.retries += 1
            else:
                self.requests += 1
                self.read_units += told.read_units or 0
                self.write_units += told.write_units or 0
        if self.within is not None:
            self.within.count(told)

    def count_outcome(self, outcome: str) -> None:
        """Count the outcome of a write, in whatever thread it was made."""
        with self._lock:
            self.outcomes[outcome] += 1

    def end(self, error: BaseException | None) -> None:
        """It has ended."""
        # Whoever closes an iterator has had enough, which is no error.
        self._end(None if isinstance(error, GeneratorExit) else error)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self.end(error)


class Call(_Doing):
    """One request of DynamoDB's API, with all its tries. A context manager around them.

    Attributes:
        name: the method of botocore's client, such as ``put_item``.
        parameters: of it. They are the user's data: nothing of them but names of tables and indexes
            and counts is told to anybody.
        body: as it goes over the wire.
        number: of the try, from 1.
        operation: what it is made for, if anything.
        last: the latest try, where a telemetry is told.
        consumed: what DynamoDB said of its cost, for each table, where a telemetry is told.
        url: of the endpoint, where a telemetry is told.
    """

    __slots__ = ("body", "consumed", "last", "name", "number", "operation", "parameters", "url")

    def __init__(
        self,
        name: str,
        parameters: dict[str, Any],
        body: bytes,
        telemetry: Telemetry | None,
        url: str | None,
    ) -> None:
        super().__init__(telemetry)
        self.name = name
        self.parameters = parameters
        self.body = body
        self.url = url
        self.number = 1
        self.operation = _operation.get()
        self.last: WireRequest | None = None
        self.consumed: list[dict[str, Any]] = []

    @property
    def table(self) -> str | None:
        """The one table that it names."""
        return table_of(self.parameters)

    @property
    def request(self) -> str:
        """DynamoDB's name for it, such as ``PutItem``."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    def __enter__(self) -> Self:
        self._token: Token[Call | None] = _call.set(self)
        if self.telemetry is not None:
            self.span = self.telemetry.begin(self)
            self._entered = self.telemetry.enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _call.reset(self._token)
        if self.telemetry is not None:
            self.telemetry.leave(self._entered)
            self._end(error)


_operation: ContextVar[Operation | None] = ContextVar("quill_operation", default=None)
_call: ContextVar[Call | None] = ContextVar("quill_call", default=None)

current_operation = _operation.get
"""The operation that this code works for, if any."""
current_call = _call.get
"""The call whose try is being made here, if any."""


class Threads(ThreadPoolExecutor):
    """Threads that work for the operation that they were given their work in."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `ThreadPoolExecutor.submit`."""
        return super().submit(partial(copy_context().run, fn, *args, **kwargs))


def retrying(
    reason: str, number: int, wait: float, spent: float, deadline: float, *, is_late: bool
) -> None:
    """Tell that something is about to be tried again. Times in seconds."""
    call, begun = current_call(), current_operation()
    retry = Retry(
        operation=None if begun is None else begun.name,
        request=None if call is None else call.request,
        table=call.table if call is not None else None if begun is None else begun.table,
        try_number=number,
        reason=reason,
        wait_ms=round(wait * 1000, 3),
        spent_ms=round(spent * 1000, 3),
        deadline_ms=deadline * 1000,
    )
    log_retry(retry, is_late=is_late)
    doing = call or begun
    if doing is not None and doing.telemetry is not None:
        if begun is not None:
            begun.count(retry)
        doing.telemetry.retry(retry, doing)


# Which calls are operations.


def operation(function: Callable[P, R]) -> Callable[P, R]:
    """Make a method an operation, named by the ``OPERATIONS`` of its class and by itself."""
    name = function.__name__.lstrip("_")

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with begun(args[0], name) as operation:
            return operation.run(function, *args, **kwargs)

    return call


def followed(operation: Operation, results: Iterator[R]) -> Iterator[R]:
    """Yield the results of an iterator that works for an operation, which ends with it."""
    with operation:
        try:
            while True:
                try:
                    result = operation.run(next, results)
                except StopIteration:
                    return
                yield result
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                operation.run(close)


def begun(owner: Any, name: str) -> Operation:
    """The operation of one call of an object."""
    return Operation(f"{owner.OPERATIONS}.{name}", owner._table)  # noqa: SLF001


def count_outcome(outcome: str) -> None:
    """Count the outcome of a write for the operation that it was made for."""
    current = current_operation()
    if current is not None and current.telemetry is not None:
        current.count_outcome(outcome)
