"""What happened on the wire, in the log: a record for each request and each retry.

A record names the operation, the table, the index, codes, sizes, times and units. It never holds an
item, a key, a condition's value, or a credential; only what is listed in `WireRequest` and `Retry`
leaves this module.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = [
    "CAPACITY_OPERATIONS",
    "REFUSALS",
    "Retry",
    "WireRequest",
    "capacity_in",
    "log_request",
    "log_retry",
    "table_of",
    "wants_requests",
]

# Quiet, unless the application asks: whatever logs has loaded this module.
# https://docs.python.org/3/howto/logging.html#configuring-logging-for-a-library
logging.getLogger("quill_models").addHandler(logging.NullHandler())
_requests = logging.getLogger("quill_models.requests")
_retries = logging.getLogger("quill_models.retries")

_KINDS_OF_UNITS = frozenset({"ReadCapacityUnits", "WriteCapacityUnits"})
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
# Those whose answers say what they cost, where that is asked for.
CAPACITY_OPERATIONS = frozenset(
    {
        "batch_execute_statement",
        "batch_get_item",
        "batch_write_item",
        "delete_item",
        "get_item",
        "put_item",
        "query",
        "scan",
        "transact_get_items",
        "transact_write_items",
        "update_item",
    }
)
# As this package writes it.
_INSERT = re.compile(r'INSERT INTO "([\w.-]+)" VALUE ')
# A condition that does not hold is how a repeated write is found out: an outcome, and no error.
REFUSALS = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})


@dataclass(frozen=True, slots=True)
class _Told:
    """What a record carries beside its message."""

    def fields(self) -> dict[str, Any]:
        """The fields for ``extra``: a prefix keeps them apart from those of everybody else.

        ``logging`` raises for a field that a record has already, as one that the application gives
        to all of its own.
        """
        return {f"quill_{each.name}": getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class WireRequest(_Told):
    """One try of a request.

    Attributes:
        operation: the call of the public API that it is made for, if any.
        request: DynamoDB's operation, such as ``PutItem``.
        table, index: what it asks; an ``index`` of ``None`` is the table itself.
        try_number: from 1.
        http_status: ``None`` where no answer came.
        error: DynamoDB's code, or the class of what went wrong; ``None`` for a success.
        duration_ms: from the first byte to be sent until the answer was read.
        items: how many were sent, or came back; ``None`` where it is about none.
        sent_bytes, received_bytes: of the bodies; ``None`` where it is not known.
        read_units, write_units: what it consumed, with indexes; ``None`` where DynamoDB does not
            say, as for what was refused.
        request_id: by which AWS finds it.
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

    @classmethod
    def of(
        cls,
        request: str,
        parameters: Mapping[str, Any],
        *,
        operation: str | None,
        try_number: int,
        seconds: float,
        sent_bytes: int,
        response: Mapping[str, Any] | None,
        answer: Mapping[str, Any] | None,
        exception: BaseException | None,
    ) -> WireRequest:
        """What botocore has of a request, without all that is the user's."""
        answer, headers = answer or {}, (response or {}).get("headers", {})
        length = headers.get("Content-Length")
        reads, writes = _units(request, answer)
        return cls(
            operation=operation,
            request=request,
            table=table_of(parameters),
            index=parameters.get("IndexName"),
            try_number=try_number,
            http_status=None if response is None else response["status_code"],
            error=_error(answer, exception),
            duration_ms=round(seconds * 1000, 3),
            items=_sent(request, parameters) if request in _WRITES else _found(request, answer),
            sent_bytes=sent_bytes,
            received_bytes=int(length) if length is not None and length.isdigit() else None,
            read_units=reads,
            write_units=writes,
            request_id=answer.get("ResponseMetadata", {}).get("RequestId"),
        )

    @property
    def is_write(self) -> bool:
        """Whether it writes."""
        return self.request in _WRITES

    @property
    def is_refused(self) -> bool:
        """Whether a condition kept it out."""
        return self.error in REFUSALS

    def text(self) -> str:
        """One short line."""
        where = f" on {self.table}{'' if self.index is None else f'/{self.index}'}"
        whom = "" if self.operation is None else f" for {self.operation}"
        came = "no answer" if self.http_status is None else str(self.http_status)
        parts = [came if self.error is None else f"{came} {self.error}"]
        if self.try_number > 1:
            parts.append(f"try {self.try_number}")
        if self.items is not None:
            parts.append(f"{self.items} item{'' if self.items == 1 else 's'}")
        parts.append(f"{self.duration_ms:.1f} ms")
        parts += [
            f"{units:g} {kind} unit{'' if units == 1 else 's'}"
            for units, kind in ((self.read_units, "read"), (self.write_units, "write"))
            if units
        ]
        return f"{self.request}{'' if self.table is None else where}{whom}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Retry(_Told):
    """Something is about to be tried again.

    Attributes:
        operation: the call of the public API that it is done for, if any.
        request: DynamoDB's operation where the request itself is sent again; ``None`` where other
            writers were in the way of a write, or DynamoDB left some of a batch undone.
        table: the table.
        try_number: of the try that failed, from 1.
        reason: the class of the error (``Throttled``, ``AnswerLost``, ``ServerUnreachable``,
            ``RequestRejected`` for a transaction that is still on its way), or ``Contention`` or
            ``UnprocessedKeys``.
        wait_ms: how long until the next try.
        spent_ms, deadline_ms: since the first try, and when it is given up.
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
        whom = "" if self.operation is None else f" for {self.operation}"
        where = "" if self.table is None else f" on {self.table}"
        return (
            f"{what}{where}{whom} is tried again in {self.wait_ms:.0f} ms: {self.reason}, "
            f"try {self.try_number}, {self.spent_ms / 1000:.1f} of {self.deadline_ms / 1000:g} s"
        )


def wants_requests() -> bool:
    """Whether anybody reads the record of each request."""
    return _requests.isEnabledFor(logging.DEBUG)


def log_request(request: WireRequest) -> None:
    """At DEBUG."""
    _requests.debug("%s", request.text(), extra=request.fields())


def log_retry(retry: Retry, *, is_late: bool) -> None:
    """At INFO; a call that has used half of its time is worth a WARNING."""
    level = logging.WARNING if is_late else logging.INFO
    if _retries.isEnabledFor(level):
        _retries.log(level, "%s", retry.text(), extra=retry.fields())


def table_of(parameters: Mapping[str, Any]) -> str | None:
    """The one table that it names, in whatever place."""
    if "TableName" in parameters:
        return str(parameters["TableName"])
    if "RequestItems" in parameters:
        return next(iter(parameters["RequestItems"]), None)
    for action in parameters.get("TransactItems", ()):
        for inner in action.values():
            return str(inner["TableName"])
    for each in parameters.get("Statements", ()):
        # Other statements may hold anything.
        insert = _INSERT.match(each["Statement"])
        return None if insert is None else insert[1]
    return None


def _error(answer: Mapping[str, Any], exception: BaseException | None) -> str | None:
    if exception is not None:
        return type(exception).__name__
    code = answer.get("Error", {}).get("Code")
    return None if code is None else str(code)


def _sent(request: str, parameters: Mapping[str, Any]) -> int:
    """How many items a write is about."""
    match request:
        case "TransactWriteItems":
            return len(parameters["TransactItems"])
        case "BatchExecuteStatement":
            return len(parameters["Statements"])
        case "BatchWriteItem":
            return sum(map(len, parameters["RequestItems"].values()))
        case _:
            return 1


def _found(request: str, answer: Mapping[str, Any]) -> int | None:
    """How many items a read has found."""
    match request, answer:
        case "GetItem", {"ResponseMetadata": {"HTTPStatusCode": 200}}:
            return int("Item" in answer)
        case "BatchGetItem", {"Responses": dict(found)}:
            return sum(map(len, found.values()))
        case "Query" | "Scan", {"Count": int(count)}:
            return count
        case _:
            return None


def capacity_in(answer: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What an answer says that it cost, for each table."""
    consumed = (answer or {}).get("ConsumedCapacity")
    return consumed if isinstance(consumed, list) else [consumed] if consumed else []


def _units(request: str, answer: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Read and write units, as far as it says."""
    entries = capacity_in(answer)
    if not entries:
        return None, None
    # Where an entry does not say which it means, the operation does.
    plain = "WriteCapacityUnits" if request in _WRITES else "ReadCapacityUnits"
    reads = writes = 0.0
    for entry in entries:
        told = entry if entry.keys() & _KINDS_OF_UNITS else {plain: entry.get("CapacityUnits", 0)}
        reads += told.get("ReadCapacityUnits", 0)
        writes += told.get("WriteCapacityUnits", 0)
    return reads, writes
