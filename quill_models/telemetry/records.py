"""Log records of requests and retries.

A record has the fields of `RequestTry` or `Retry`: operation, table, index, codes, sizes, times and
units. It never contains an item, a key, the value of a condition, or a credential.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "FAILED_CONDITIONS",
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

# Silent unless the application configures logging. Each module that logs imports this one.
# https://docs.python.org/3/howto/logging.html#configuring-logging-for-a-library
logging.getLogger("quill_models").addHandler(logging.NullHandler())
REQUEST_LOG = logging.getLogger("quill_models.requests")
_RETRY_LOG = logging.getLogger("quill_models.retries")

_WRITES_OF_MANY = frozenset({"BatchExecuteStatement", "BatchWriteItem", "TransactWriteItems"})
WRITES = _WRITES_OF_MANY | {"DeleteItem", "ExecuteStatement", "PutItem", "UpdateItem"}
# Their responses hold the consumed capacity if the request asks for it.
REQUESTS_WITH_CAPACITY = WRITES | {"BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"}
# The form of this package. Other statements may contain user data anywhere.
_INSERT = re.compile(r'INSERT INTO "([\w.-]+)" VALUE ')
# Repeated writes are recognised by a failed condition, which is an outcome and not an error.
FAILED_CONDITIONS = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})


@dataclass(frozen=True)
class RequestTry:
    """One try of a request.

    Attributes:
        operation: The call of the public API that sent the request, or None.
        request: DynamoDB's name of the request, such as ``PutItem``.
        table, index: Names of the table and of the index. No ``index`` means the table itself.
        try_number: Number of the try, from 1.
        http_status: HTTP status. None without a response.
        error: DynamoDB's error code or the class of the error. None for a success.
        duration_ms: Time from the first sent byte until the response was read, in milliseconds.
        items: Number of sent or returned items. None for other requests.
        sent_bytes, received_bytes: Sizes of the bodies. None if unknown.
        read_units, write_units: Consumed units, including indexes. None if DynamoDB does not report
            them, for example after a failed condition.
        request_id: Id of the request for AWS support.
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
        """Return one short line."""
        response = "no response" if self.http_status is None else str(self.http_status)
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
        return f"{self.request}{_target(self.table, self.operation, index)}: {', '.join(parts)}"


@dataclass(frozen=True)
class Retry:
    """A retry, before its backoff.

    Attributes:
        operation: The call of the public API that sent the request, or None.
        request: DynamoDB's name of the retried request. None if a write is contended or DynamoDB
            left keys of a batch unprocessed.
        table: Name of the table.
        try_number: Number of the failed try, from 1.
        reason: The class of the error (``Throttled``, ``AnswerLost``, ``ServerUnreachable``,
            ``RequestRejected`` for a transaction still in progress), or ``Contention`` or
            ``UnprocessedKeys``.
        wait_ms: Backoff until the next try, in milliseconds.
        spent_ms, deadline_ms: Time since the first try, and the deadline, in milliseconds.
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
        """Return one short line."""
        name = self.request or "a write" if self.reason != "UnprocessedKeys" else "BatchGetItem"
        return (
            f"{name}{_target(self.table, self.operation)} is retried in {self.wait_ms:.0f} ms: "
            f"{self.reason}, try {self.try_number}, "
            f"{self.spent_ms / 1000:.1f} of {self.deadline_ms / 1000:g} s"
        )


def _counted(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def _target(table: str | None, operation: str | None, index: str = "") -> str:
    on = "" if table is None else f" on {table}{index}"
    return on if operation is None else f"{on} for {operation}"


def log(record: RequestTry | Retry, level: int) -> None:
    """Log a try or a retry with its fields.

    The prefix of the fields avoids names that a record already has, for which ``logging`` raises.
    """
    logger = REQUEST_LOG if isinstance(record, RequestTry) else _RETRY_LOG
    if logger.isEnabledFor(level):
        fields = {f"quill_{name}": value for name, value in vars(record).items()}
        logger.log(level, "%s", record.text(), extra=fields)


def table_of(parameters: Mapping[str, Any]) -> str | None:
    """Return the name of the table in the parameters of a request, or None."""
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
    request: str, parameters: Mapping[str, Any], result: Mapping[str, Any], status: int | None
) -> int | None:
    """Return the number of items that a write sent or a read returned."""
    match request, result:
        case "TransactWriteItems", _:
            return len(parameters["TransactItems"])
        case "BatchExecuteStatement", _:
            return len(parameters["Statements"])
        case "BatchWriteItem", _:
            return sum(map(len, parameters["RequestItems"].values()))
        case "GetItem", _ if status == 200:
            return int("Item" in result)
        case "BatchGetItem", {"Responses": dict(found)}:
            return sum(map(len, found.values()))
        case (("Query" | "Scan"), {"Count": int(count)}):
            return count
        case _:
            return 1 if request in WRITES else None


def capacity_in(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the consumed capacity of each table."""
    consumed = result.get("ConsumedCapacity")
    return consumed if isinstance(consumed, list) else [consumed] if consumed else []


def units_in(request: str, consumed: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Return the consumed read and write units. None if the response does not report them."""
    if not consumed:
        return None, None
    kinds = ("ReadCapacityUnits", "WriteCapacityUnits")
    reads, writes = (sum((each.get(kind, 0) for each in consumed), 0.0) for kind in kinds)
    # Units without a kind are of the kind of the request.
    plain = sum(each.get("CapacityUnits", 0) for each in consumed if not each.keys() & set(kinds))
    return (reads, writes + plain) if request in WRITES else (reads + plain, writes)
