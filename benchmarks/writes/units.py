"""What AWS would charge for requests, by its rules and not by what DynamoDB Local says.

A write costs one unit per KB of the item, begun ones counted in full, whether its condition holds
or not; twice that in a transaction. A strongly consistent read costs one unit per 4 KB.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html

AWS does not say what a cancelled transaction costs. It is counted like one that is carried out,
which is the most that it can be.
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
# The names of a PartiQL item, each with a question mark for its value.
_PARTIQL_NAME = re.compile(r"'(\w+)': \?")


@dataclass(frozen=True)
class Units:
    """Write and read units."""

    writes: float = 0
    reads: float = 0

    def __add__(self, other: Units) -> Units:
        return Units(self.writes + other.writes, self.reads + other.reads)


def table_units(requests: Iterable[tuple[str, bytes]]) -> Units:
    """The units of the table, without those of its indexes.

    Raises:
        ValueError: an operation whose cost this does not know.
    """
    total = Units()
    for operation, body in requests:
        total += _units(operation, json.loads(body))
    return total


def index_units(item: RawItem) -> int:
    """The write units of the indexes where an item is stored anew. No transaction doubles them."""
    return sum(_written(size_of(item)) for index in INDEXES if f"{index}pk" in item)


def _units(operation: str, body: dict[str, Any]) -> Units:
    # What is read here is smaller than 4 KB.
    read = 1 if body.get("ConsistentRead") else 0.5
    match operation:
        case "PutItem" | "UpdateItem" | "DeleteItem":
            return Units(writes=_written(_size(body)))
        case "BatchWriteItem":
            entries = [entry for each in body["RequestItems"].values() for entry in each]
            return Units(writes=sum(_written(_size(_only(entry))) for entry in entries))
        case "TransactWriteItems":
            actions = [_only(action) for action in body["TransactItems"]]
            return Units(writes=2 * sum(_written(_size(action)) for action in actions))
        case "BatchExecuteStatement":
            return Units(writes=sum(_written(_inserted(each)) for each in body["Statements"]))
        case "GetItem":
            return Units(reads=read)
        case "BatchGetItem":
            asked = body["RequestItems"].values()
            return Units(
                reads=sum(len(each["Keys"]) * _units("GetItem", each).reads for each in asked)
            )
        case "DescribeTable":
            return Units()
        case _:
            raise ValueError(f"what {operation} costs is not known here")


def _only(holder: dict[str, Any]) -> dict[str, Any]:
    (inner,) = holder.values()
    return dict(inner)


def _size(action: dict[str, Any]) -> int:
    """The size of the item of a put; of another write the key and what it sets."""
    if "Item" in action:
        return size_of(action["Item"])
    values: RawItem = action.get("ExpressionAttributeValues", {})
    return size_of({**action["Key"], **values})


def _inserted(statement: dict[str, Any]) -> int:
    names = _PARTIQL_NAME.findall(statement["Statement"])
    return size_of(dict(zip(names, statement["Parameters"], strict=True)))


def _written(size: int) -> int:
    return max(1, math.ceil(size / _KB))
