"""Operations and requests in progress, for the log and for a `Telemetry`.

An operation is one call of the public API, such as ``webhook_events.record_many``. A request is one
request of DynamoDB's API with all its tries. A context variable holds the current operation. The
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
    """An observer of the operations and requests (``doing``) of a `Quill`.

    `quill_models.telemetry.OpenTelemetry` implements it. The methods run in the thread that does
    the work. They should not raise, because their errors reach the caller of the operation.
    """

    def begin(self, doing: Operation | Request) -> Any:
        """Begin an operation or a request. The result is stored as ``doing.span``."""

    def enter(self, doing: Operation | Request) -> Any:
        """Begin to work for ``doing`` in this thread. The result is passed to `leave`."""

    def leave(self, entered: Any) -> None:
        """End the work in this thread. ``entered`` is the result of `enter`."""

    def tried(self, request: RequestTry) -> None:
        """Observe one try of a request, with or without a response."""

    def retry(self, retry: Retry, of: Operation | Request) -> None:
        """Observe a retry before its backoff.

        Args:
            retry: The reason and the backoff.
            of: The retried request, or the operation whose write is contended.
        """

    def end(self, doing: Operation | Request, error: BaseException | None) -> None:
        """End an operation or a request.

        Args:
            doing: The operation or request.
            error: The error that was raised, or None. None for an iterator that was closed early.
        """


class _Table(Protocol):
    name: str
    telemetry: Telemetry | None


class Operation:
    """One call of the public API, and a context manager for its duration.

    Attributes:
        name: Name of the call, such as ``webhook_events.record_many``.
        table: Name of the table.
        telemetry: The observer, or None. Without one, nothing is counted.
        span: The result of `Telemetry.begin`.
        began: Start by `time.perf_counter`, in seconds.
        within: The outer operation, or None. A migration, for example, starts a job run.
        requests, retries, read_units, write_units: Totals, including inner operations.
        outcomes: Number of writes by outcome.
        lock: Protects the totals, which several threads change.
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
        """Call a function in this thread, for this operation."""
        token = _operation.set(self)
        entered = None if self.telemetry is None else self.telemetry.enter(self)
        try:
            return function(*args, **kwargs)
        finally:
            if self.telemetry is not None:
                self.telemetry.leave(entered)
            _operation.reset(token)

    def count(self, record: RequestTry | Retry) -> None:
        """Count a try or a retry, here and in the outer operations."""
        with self.lock:
            if isinstance(record, Retry):
                self.retries += 1
            else:
                self.requests += 1
                self.read_units += record.read_units or 0
                self.write_units += record.write_units or 0
        if self.within is not None:
            self.within.count(record)


class Request:
    """One request of DynamoDB's API with all its tries, and a context manager for its duration.

    Attributes:
        name, api_name: Names such as ``put_item``, and ``PutItem`` in DynamoDB's API.
        parameters: The parameters. They contain user data; record only names of tables and indexes.
        body: The parameters as bytes, in the form that is sent.
        telemetry: The observer, or None.
        span: The result of `Telemetry.begin`.
        began: Start by `time.perf_counter`, in seconds.
        url: URL of the endpoint. None without a telemetry.
        number: Number of the current try, from 1.
        operation: The operation that sends the request, or None.
        last: The latest try. None without a telemetry.
        consumed: Consumed capacity of each table. Empty without a telemetry.
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
        """Name of the table, or None if the parameters name none."""
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
        result: Mapping[str, Any],
        error: Exception | str | None,
    ) -> None:
        """Log one try, count it for the operation, and pass it to the telemetry.

        ``began`` is its start by `time.perf_counter`. ``error`` is DynamoDB's code, or the error of
        the connection.
        """
        length, consumed = headers.get("Content-Length", ""), capacity_in(result)
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
            items=items_in(self.api_name, self.parameters, result, status),
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
"""Return the operation that the current code works for, or None."""


class Threads(ThreadPoolExecutor):
    """A thread pool whose threads inherit the current operation of the submitter."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """See `ThreadPoolExecutor.submit`."""
        return super().submit(partial(copy_context().run, fn, *args, **kwargs))


def is_watched(telemetry: Telemetry | None) -> bool:
    """Return whether requests are logged or passed to a telemetry."""
    return telemetry is not None or REQUEST_LOG.isEnabledFor(logging.DEBUG)


def operation(function: Callable[P, R]) -> Callable[P, R]:
    """Make each call of a method an operation, named by ``OPERATIONS`` and the method."""
    name = function.__name__.lstrip("_")

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with begun(args[0], name) as operation:
            return operation.run(function, *args, **kwargs)

    return call


def begun(owner: Any, name: str) -> Operation:
    """Return a new operation for a call of a repository or store."""
    return Operation(f"{owner.OPERATIONS}.{name}", owner._table)  # noqa: SLF001


def followed(operation: Operation, results: Iterator[R]) -> Iterator[R]:
    """Run an iterator for an operation that ends with the iterator."""
    with operation:
        try:
            # Results are never None.
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
