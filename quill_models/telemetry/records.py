"""Log records of requests and retries.

A record names the operation, the table, the index, codes, sizes, times and units. It never holds an
item, a key, the value of a condition, or a credential: only the fields of `RequestTry` and `Retry`
leave this module.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "REFUSALS",
    "REQUESTS_WITH_CAPACITY",
    "REQUEST_LOG",
    "WRITES",
    "RequestTry",
    "Retry",
    "capacity_in",
    "items_in",
    "log",
    "table_of",
    "units_in",
]

# Quiet unless the application configures logging: each module that logs imports this one.
# https://docs.python.org/3/howto/logging.html#configuring-logging-for-a-library
logging.getLogger("quill_models").addHandler(logging.NullHandler())
REQUEST_LOG = logging.getLogger("quill_models.requests")
_RETRY_LOG = logging.getLogger("quill_models.retries")

_WRITES_OF_MANY = frozenset({"BatchExecuteStatement", "BatchWriteItem", "TransactWriteItems"})
WRITES = _WRITES_OF_MANY | {"DeleteItem", "ExecuteStatement", "PutItem", "UpdateItem"}
# Their responses hold the consumed capacity if the request asks for it.
REQUESTS_WITH_CAPACITY = WRITES | {"BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"}
# As this package writes it. Statements of others may hold anything.
_INSERT = re.compile(r'INSERT INTO "([\w.-]+)" VALUE ')
# A refused condition is how a repeated write is found out: an outcome, not an error.
REFUSALS = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})


@dataclass(frozen=True)
class RequestTry:
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

    def text(self) -> str:
        """One short line."""
        response = "no answer" if self.http_status is None else str(self.http_status)
        parts = [response if self.error is None else f"{response} {self.error}"]
        if self.try_number > 1:
            parts.append(f"try {self.try_number}")
        if self.items is not None:
            parts.append(_counted(self.items, "item"))
        parts.append(f"{self.duration_ms:.1f} ms")
        for units, kind in ((self.read_units, "read unit"), (self.write_units, "write unit")):
            if units:
                parts.append(_counted(units, kind))
        index = "" if self.index is None else f"/{self.index}"
        return f"{self.request}{_place(self.table, self.operation, index)}: {', '.join(parts)}"


@dataclass(frozen=True)
class Retry:
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
        return (
            f"{what}{_place(self.table, self.operation)} is tried again in {self.wait_ms:.0f} ms: "
            f"{self.reason}, try {self.try_number}, "
            f"{self.spent_ms / 1000:.1f} of {self.deadline_ms / 1000:g} s"
        )


def _counted(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def _place(table: str | None, operation: str | None, index: str = "") -> str:
    on = "" if table is None else f" on {table}{index}"
    return on if operation is None else f"{on} for {operation}"


def log(record: RequestTry | Retry, level: int) -> None:
    """Log a try or a retry, with its fields.

    The fields have a prefix: ``logging`` raises for a field that a record already has, such as one
    that the application adds to all records.
    """
    logger = REQUEST_LOG if isinstance(record, RequestTry) else _RETRY_LOG
    if logger.isEnabledFor(level):
        fields = {f"quill_{name}": value for name, value in vars(record).items()}
        logger.log(level, "%s", record.text(), extra=fields)


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
            return 1 if request in WRITES else None


def capacity_in(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The consumed capacity of each table."""
    consumed = answer.get("ConsumedCapacity")
    return consumed if isinstance(consumed, list) else [consumed] if consumed else []


def units_in(request: str, consumed: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Read and write units, if the response has them."""
    if not consumed:
        return None, None
    kinds = ("ReadCapacityUnits", "WriteCapacityUnits")
    reads, writes = (sum((each.get(kind, 0) for each in consumed), 0.0) for kind in kinds)
    # Without a kind, units are of the kind of the request.
    plain = sum(each.get("CapacityUnits", 0) for each in consumed if not each.keys() & set(kinds))
    return (reads, writes + plain) if request in WRITES else (reads + plain, writes)
