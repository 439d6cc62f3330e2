"""Units that AWS would charge for requests, by its rules instead of DynamoDB Local's counts.

A write costs one unit per started KB of the item, whether its condition succeeds or not, and twice
that in a transaction. A strongly consistent read costs one unit per 4 KB.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html

AWS does not document the cost of a cancelled transaction. It is counted like a successful one,
which is the maximum.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from quill_models.dynamodb.items import RawItem, size_of
from quill_models.models import INDEXES

__all__ = ["Units", "index_units", "table_units"]

_KB = 1024
# Attribute names of a PartiQL item, each followed by the placeholder of its value.
_PARTIQL_NAME = re.compile(r"'(\w+)': \?")


@dataclass(frozen=True)
class Units:
    """Write and read units."""

    writes: float = 0
    reads: float = 0

    def __add__(self, other: Units) -> Units:
        return Units(self.writes + other.writes, self.reads + other.reads)


def table_units(requests: Iterable[tuple[str, bytes]]) -> Units:
    """Return the units of the table, without those of its indexes.

    Raises:
        ValueError: The cost of an operation is not known.
    """
    total = Units()
    for operation, body in requests:
        total += _units(operation, json.loads(body))
    return total


def index_units(item: RawItem) -> int:
    """Return the index units of storing a new item. A transaction does not double them."""
    return sum(_write_units(size_of(item)) for index in INDEXES if f"{index}pk" in item)


def _units(operation: str, body: dict[str, Any]) -> Units:
    # Every item of this benchmark is smaller than 4 KB.
    read = 1 if body.get("ConsistentRead") else 0.5
    match operation:
        case "PutItem" | "UpdateItem" | "DeleteItem":
            return Units(writes=_write_units(_size(body)))
        case "BatchWriteItem":
            entries = [entry for each in body["RequestItems"].values() for entry in each]
            return Units(writes=sum(_write_units(_size(_only(entry))) for entry in entries))
        case "TransactWriteItems":
            actions = [_only(action) for action in body["TransactItems"]]
            return Units(writes=2 * sum(_write_units(_size(action)) for action in actions))
        case "BatchExecuteStatement":
            return Units(writes=sum(_write_units(_inserted(each)) for each in body["Statements"]))
        case "GetItem":
            return Units(reads=read)
        case "BatchGetItem":
            tables = body["RequestItems"].values()
            return Units(
                reads=sum(len(each["Keys"]) * _units("GetItem", each).reads for each in tables)
            )
        case "DescribeTable":
            return Units()
        case _:
            raise ValueError(f"the cost of {operation} is not known")


def _only(wrapper: dict[str, Any]) -> dict[str, Any]:
    (inner,) = wrapper.values()
    return dict(inner)


def _size(action: dict[str, Any]) -> int:
    """Return the size of the item of a put, or of the key and the values of another write."""
    if "Item" in action:
        return size_of(action["Item"])
    values: RawItem = action.get("ExpressionAttributeValues", {})
    return size_of({**action["Key"], **values})


def _inserted(statement: dict[str, Any]) -> int:
    names = _PARTIQL_NAME.findall(statement["Statement"])
    return size_of(dict(zip(names, statement["Parameters"], strict=True)))


def _write_units(size: int) -> int:
    return max(1, math.ceil(size / _KB))
