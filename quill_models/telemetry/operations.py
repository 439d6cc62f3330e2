"""Operations and requests in progress, for the log and for a `Telemetry`.

An operation is one call of the public API, such as ``webhook_events.record_many``. A request is one
request of DynamoDB's API with all its tries. A context variable names the current operation; the
threads of a `Threads` inherit it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial, wraps
from threading import Lock
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from quill_models.telemetry.records import (
    REQUEST_LOG,
    RequestTry,
    Retry,
    capacity_in,
    items_in,
    log,
    table_of,
    units_in,
)

__all__ = [
    "Operation",
    "Request",
    "Telemetry",
    "Threads",
    "begun",
    "count_outcome",
    "current_operation",
    "followed",
    "is_watched",
    "operation",
]

P = ParamSpec("P")
R = TypeVar("R")


class Telemetry(Protocol):
    """Follows what a `Quill` does. Its methods are called in the thread that does it.

    `quill_models.telemetry.OpenTelemetry` is one. The methods should not raise: their errors reach
    the caller of the operation.
    """

    def begin(self, doing: Operation | Request) -> Any:
        """Begin an operation or a request. What this returns is kept as ``doing.span``."""

    def enter(self, doing: Operation | Request) -> Any:
        """Begin to work for ``doing`` in this thread. What this returns is passed to `leave`."""

    def leave(self, entered: Any) -> None:
        """End the work in this thread for which `enter` returned ``entered``."""

    def tried(self, request: RequestTry) -> None:
        """Take in one try of a request, answered or not."""

    def retry(self, retry: Retry, of: Operation | Request) -> None:
        """Take in that something is about to be retried.

        Args:
            retry: The reason and the time of the retry.
            of: What is retried: the request, or the operation whose write is contended.
        """

    def end(self, doing: Operation | Request, error: BaseException | None) -> None:
        """End an operation or a request.

        Args:
            doing: The operation or request.
            error: The error that ended it. None for an iterator that was closed early.
        """


class _Table(Protocol):
    name: str
    telemetry: Telemetry | None


class Operation:
    """One call of the public API. A context manager around it.

    Attributes:
        name: Such as ``webhook_events.record_many``.
        table: The table's name.
        telemetry: The telemetry that follows the operation, if any; without one nothing is counted.
        span: What `Telemetry.begin` returned.
        began: When that was, by `time.perf_counter`.
        within: The operation that made this one, if any: a migration reads and starts a job run.
        requests, retries, read_units, write_units: Totals, operations within this one included.
        outcomes: The number of writes by outcome.
        lock: To count, which any thread may do.
    """

    span: Any = None
    began = 0.0

    def __init__(self, name: str, table: _Table) -> None:
        self.name, self.table, self.telemetry = name, table.name, table.telemetry
        self.within = current_operation()
        self.requests = self.retries = 0
        self.read_units = self.write_units = 0.0
        self.outcomes: Counter[str] = Counter()
        self.lock = Lock()

    def __enter__(self) -> Self:
        if self.telemetry is not None:
            self.began, self.span = time.perf_counter(), self.telemetry.begin(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self.telemetry is not None:
            # Closing an iterator early is not an error.
            self.telemetry.end(self, None if isinstance(error, GeneratorExit) else error)

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Work for the operation in this thread."""
        token = _operation.set(self)
        entered = None if self.telemetry is None else self.telemetry.enter(self)
        try:
            return function(*args, **kwargs)
        finally:
            if self.telemetry is not None:
                self.telemetry.leave(entered)
            _operation.reset(token)

    def count(self, done: RequestTry | Retry) -> None:
        """Count a try or a retry."""
        with self.lock:
            if isinstance(done, Retry):
                self.retries += 1
            else:
                self.requests += 1
                self.read_units += done.read_units or 0
                self.write_units += done.write_units or 0
        if self.within is not None:
            self.within.count(done)


class Request:
    """One request of DynamoDB's API, with all its tries. A context manager around them.

    Attributes:
        name, api_name: Such as ``put_item``, and DynamoDB's name for it, ``PutItem``.
        parameters: The user's data: only names of tables and indexes, and counts, may be shown.
        body: The parameters as they are sent.
        telemetry: The telemetry that follows the request, if any.
        span: What `Telemetry.begin` returned.
        began: When that was, by `time.perf_counter`.
        url: The URL of the endpoint, if there is a telemetry.
        number: The number of the current try, from 1.
        operation: The operation that the request is made for, if any.
        last: The latest try, if there is a telemetry.
        consumed: The consumed capacity of each table, if there is a telemetry.
    """

    span: Any = None
    began = 0.0

    def __init__(
        self, name: str, parameters: dict[str, Any], telemetry: Telemetry | None, url: str | None
    ) -> None:
        self.name, self.parameters, self.telemetry, self.url = name, parameters, telemetry, url
        self.api_name = "".join(word[:1].upper() + word[1:] for word in name.split("_"))
        self.body = b""
        self.number = 1
        self.operation = current_operation()
        self.last: RequestTry | None = None
        self.consumed: list[dict[str, Any]] = []

    @property
    def table(self) -> str | None:
        """The one table that the request names."""
        return table_of(self.parameters)

    def __enter__(self) -> Self:
        if self.telemetry is not None:
            self.began, self.span = time.perf_counter(), self.telemetry.begin(self)
            self._entered = self.telemetry.enter(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self.telemetry is not None:
            self.telemetry.leave(self._entered)
            self.telemetry.end(self, error)

    def tried(
        self,
        began: float,
        status: int | None,
        headers: Mapping[str, str],
        answer: Mapping[str, Any],
        error: Exception | str | None,
    ) -> None:
        """Log one try, count it for the operation, and pass it to the telemetry.

        It was sent at ``began`` by `time.perf_counter`. ``error`` is DynamoDB's code, or the error
        of the exchange.
        """
        length, consumed = headers.get("Content-Length", ""), capacity_in(answer)
        reads, writes = units_in(self.api_name, consumed)
        tried = RequestTry(
            operation=None if self.operation is None else self.operation.name,
            request=self.api_name,
            table=self.table,
            index=self.parameters.get("IndexName"),
            try_number=self.number,
            http_status=status,
            error=type(error).__name__ if isinstance(error, Exception) else error,
            duration_ms=round((time.perf_counter() - began) * 1000, 3),
            items=items_in(self.api_name, self.parameters, answer, status),
            sent_bytes=len(self.body),
            received_bytes=int(length) if length.isdigit() else None,
            read_units=reads,
            write_units=writes,
            request_id=headers.get("x-amzn-requestid"),
        )
        log(tried, logging.DEBUG)
        if self.telemetry is not None:
            if self.operation is not None:
                self.operation.count(tried)
            self.last, self.consumed = tried, consumed
            self.telemetry.tried(tried)


_operation: ContextVar[Operation | None] = ContextVar("quill_operation", default=None)

current_operation = _operation.get
"""The operation that this code works for, if any."""


class Threads(ThreadPoolExecutor):
    """Threads that work for the operation in which their work was submitted."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """See `ThreadPoolExecutor.submit`."""
        return super().submit(partial(copy_context().run, fn, *args, **kwargs))


def is_watched(telemetry: Telemetry | None) -> bool:
    """Whether requests are followed by a telemetry or logged."""
    return telemetry is not None or REQUEST_LOG.isEnabledFor(logging.DEBUG)


def operation(function: Callable[P, R]) -> Callable[P, R]:
    """Make a method an operation, named by the ``OPERATIONS`` of its class and by itself."""
    name = function.__name__.lstrip("_")

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with begun(args[0], name) as operation:
            return operation.run(function, *args, **kwargs)

    return call


def begun(owner: Any, name: str) -> Operation:
    """The operation of one call of an object."""
    return Operation(f"{owner.OPERATIONS}.{name}", owner._table)  # noqa: SLF001


def followed(operation: Operation, results: Iterator[R]) -> Iterator[R]:
    """Yield the results of an iterator that works for an operation, which ends with it."""
    with operation:
        try:
            # No result is None.
            while (result := operation.run(next, results, None)) is not None:
                yield result
        finally:
            if isinstance(results, Generator):
                operation.run(results.close)


def count_outcome(outcome: str) -> None:
    """Count the outcome of a write for the current operation."""
    current = current_operation()
    if current is not None and current.telemetry is not None:
        with current.lock:
            current.outcomes[outcome] += 1
