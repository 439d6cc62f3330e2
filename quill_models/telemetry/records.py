"""Log records of requests and retries.

A record names the operation, the table, the index, codes, sizes, times and units. It never holds an
item, a key, the value of a condition, or a credential: only the fields of `RequestTry` and `Retry`
leave this module.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = [
    "REFUSALS",
    "REQUESTS_WITH_CAPACITY",
    "RequestTry",
    "Retry",
    "capacity_in",
    "items_in",
    "log_retry",
    "log_try",
    "table_of",
    "units_in",
]

# Quiet unless the application configures logging: each module that logs imports this one.
# https://docs.python.org/3/howto/logging.html#configuring-logging-for-a-library
logging.getLogger("quill_models").addHandler(logging.NullHandler())
_requests = logging.getLogger("quill_models.requests")
_retries = logging.getLogger("quill_models.retries")

_WRITES = frozenset(
    {
        "BatchExecuteStatement",
        "BatchWriteItem",
        "DeleteItem",
        "ExecuteStatement",
        "PutItem",
        "TransactWriteItems",
        "UpdateItem",
    }
)
# Their responses hold the consumed capacity if the request asks for it.
REQUESTS_WITH_CAPACITY = _WRITES | {"BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"}
# As this package writes it. Statements of others may hold anything.
_INSERT = re.compile(r'INSERT INTO "([\w.-]+)" VALUE ')
# A refused condition is how a repeated write is found out: an outcome, not an error.
REFUSALS = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})


@dataclass(frozen=True, slots=True)
class _Record:
    """What a log record carries beside its message."""

    def fields(self) -> dict[str, Any]:
        """The fields for ``extra``, with a prefix.

        ``logging`` raises for a field that a record already has, such as one that the application
        adds to all records.
        """
        return {f"quill_{each.name}": getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class RequestTry(_Record):
    """One try of a request.

    Attributes:
        operation: The call of the public API that it is made for, if any.
        request: DynamoDB's name of the request, such as ``PutItem``.
        table, index: What is read or written; an ``index`` of None is the table itself.
        try_number: From 1.
        http_status: None if no response arrived.
        error: DynamoDB's code, or the class of the error; None for a success.
        duration_ms: From the first byte sent until the response was read.
        items: How many were sent, or returned; None for other requests.
        sent_bytes, received_bytes: The sizes of the bodies; None if unknown.
        read_units, write_units: The consumed units, indexes included; None if DynamoDB does not
            report them, as for a refused request.
        request_id: The id under which AWS finds it.
    """

    operation: str | None
    request: str
    table: str | None
    index: str | None
    try_number: int
    http_status: int | None
    error: str | None
    duration_ms: float
    items: int | None
    sent_bytes: int
    received_bytes: int | None
    read_units: float | None
    write_units: float | None
    request_id: str | None

    @property
    def is_write(self) -> bool:
        """Whether it writes."""
        return self.request in _WRITES

    def text(self) -> str:
        """One short line."""
        response = "no answer" if self.http_status is None else str(self.http_status)
        parts = [response if self.error is None else f"{response} {self.error}"]
        if self.try_number > 1:
            parts.append(f"try {self.try_number}")
        if self.items is not None:
            parts.append(f"{self.items} item{'' if self.items == 1 else 's'}")
        parts.append(f"{self.duration_ms:.1f} ms")
        for units, kind in ((self.read_units, "read"), (self.write_units, "write")):
            if units:
                parts.append(f"{units:g} {kind} unit{'' if units == 1 else 's'}")
        index = "" if self.index is None else f"/{self.index}"
        table = "" if self.table is None else f" on {self.table}{index}"
        return f"{self.request}{table}{_purpose(self.operation)}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Retry(_Record):
    """A retry that is about to be made.

    Attributes:
        operation: The call of the public API that it is made for, if any.
        request: DynamoDB's name of the request that is sent again; None if a write is contended,
            or DynamoDB left some of a batch undone.
        table: The table.
        try_number: The number of the failed try, from 1.
        reason: The class of the error (``Throttled``, ``AnswerLost``, ``ServerUnreachable``,
            ``RequestRejected`` for a transaction still in progress), or ``Contention`` or
            ``UnprocessedKeys``.
        wait_ms: The time until the next try.
        spent_ms, deadline_ms: The time since the first try, and when the call gives up.
    """

    operation: str | None
    request: str | None
    table: str | None
    try_number: int
    reason: str
    wait_ms: float
    spent_ms: float
    deadline_ms: float

    def text(self) -> str:
        """One short line."""
        what = self.request or "a write" if self.reason != "UnprocessedKeys" else "BatchGetItem"
        where = "" if self.table is None else f" on {self.table}"
        return (
            f"{what}{where}{_purpose(self.operation)} is tried again in {self.wait_ms:.0f} ms: "
            f"{self.reason}, try {self.try_number}, "
            f"{self.spent_ms / 1000:.1f} of {self.deadline_ms / 1000:g} s"
        )


def _purpose(operation: str | None) -> str:
    return "" if operation is None else f" for {operation}"


def log_try(request: RequestTry) -> None:
    """Log one try of a request at DEBUG."""
    if _requests.isEnabledFor(logging.DEBUG):
        _requests.debug("%s", request.text(), extra=request.fields())


def log_retry(retry: Retry, *, is_late: bool) -> None:
    """Log a retry at INFO, or at WARNING once a call has used half of its time."""
    level = logging.WARNING if is_late else logging.INFO
    if _retries.isEnabledFor(level):
        _retries.log(level, "%s", retry.text(), extra=retry.fields())


def table_of(parameters: Mapping[str, Any]) -> str | None:
    """The one table that a request names."""
    match parameters:
        case {"TableName": name}:
            return str(name)
        case {"RequestItems": tables}:
            return next(iter(tables), None)
        case {"TransactItems": [action, *_]}:
            return str(next(iter(action.values()))["TableName"])
        case {"Statements": [{"Statement": statement}, *_]}:
            insert = _INSERT.match(statement)
            return None if insert is None else insert[1]
        case _:
            return None


def items_in(
    request: str, parameters: Mapping[str, Any], answer: Mapping[str, Any], status: int | None
) -> int | None:
    """How many items a write sent, or a read returned."""
    match request, answer:
        case "TransactWriteItems", _:
            return len(parameters["TransactItems"])
        case "BatchExecuteStatement", _:
            return len(parameters["Statements"])
        case "BatchWriteItem", _:
            return sum(map(len, parameters["RequestItems"].values()))
        case "GetItem", _ if status == 200:
            return int("Item" in answer)
        case "BatchGetItem", {"Responses": dict(found)}:
            return sum(map(len, found.values()))
        case (("Query" | "Scan"), {"Count": int(count)}):
            return count
        case _:
            return 1 if request in _WRITES else None


def capacity_in(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The consumed capacity of each table."""
    consumed = answer.get("ConsumedCapacity")
    return consumed if isinstance(consumed, list) else [consumed] if consumed else []


def units_in(request: str, answer: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Read and write units, if the response has them."""
    entries = capacity_in(answer)
    if not entries:
        return None, None
    reads = writes = 0.0
    for entry in entries:
        kinds = entry.keys() & {"ReadCapacityUnits", "WriteCapacityUnits"}
        # Without a kind, units are of the kind of the request.
        plain = 0.0 if kinds else entry.get("CapacityUnits", 0.0)
        reads += entry.get("ReadCapacityUnits", 0.0 if request in _WRITES else plain)
        writes += entry.get("WriteCapacityUnits", plain if request in _WRITES else 0.0)
    return reads, writes
