"""Conversion between Python values and DynamoDB attribute values, for `DynamoDataStore`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Set
from datetime import datetime
from decimal import Decimal
from typing import Any

from quill_models.values.clock import aware_utc
from quill_models.values.conversion import exact_decimal, unicode_text
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import time_text

__all__ = ["from_attribute_value", "to_attribute_value"]

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_MAX_DEPTH = 32


def to_attribute_value(value: Any, what: str, depth: int = 0) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912
    """Return a value in the wire format. Errors name it by ``what``, such as ``item['a'][0]``.

    Values are text, bytes, booleans, ``None``, numbers (exact, see `exact_decimal`), mappings with
    text names, lists, tuples, and non-empty sets of text, of numbers or of bytes. An aware
    `datetime` is stored as its sortable text.

    Raises:
        InvalidValue: DynamoDB cannot store the value without loss.
    """
    if depth > _MAX_DEPTH:
        raise InvalidValue(f"{what[:200]}… is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, str):
        return {"S": unicode_text(value, what)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, float, Decimal)):
        return {"N": str(exact_decimal(value, what))}
    if isinstance(value, (bytes, bytearray)):
        return {"B": bytes(value)}
    if isinstance(value, datetime):
        return {"S": time_text(aware_utc(value, what))}
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise InvalidValue(f"{what} has a name that is not text: {name}")
            if not name:
                raise InvalidValue(f"{what} has an empty name")
            to_attribute_value(name, f"a name in {what}")
        return {
            "M": {
                name: to_attribute_value(inner, f"{what}[{name!r}]", depth + 1)
                for name, inner in value.items()
            }
        }
    if isinstance(value, (list, tuple)):
        members = enumerate(value)
        return {"L": [to_attribute_value(each, f"{what}[{at}]", depth + 1) for at, each in members]}
    if isinstance(value, Set):
        return _to_set(value, what)
    raise InvalidValue(
        f"{what} is a {type(value).__name__}, which DynamoDB does not have. Convert it."
    )


def _to_set(value: Set[Any], what: str) -> dict[str, Any]:
    members = [to_attribute_value(member, f"a member of {what}") for member in value]
    types = {next(iter(member)) for member in members}
    if len(types) != 1 or not types <= {"S", "N", "B"}:
        raise InvalidValue(f"{what} must be a non-empty set of text, of numbers or of bytes")
    (member_type,) = types
    return {f"{member_type}S": [member[member_type] for member in members]}


def from_attribute_value(stored: Mapping[str, Any]) -> Any:
    """Return the Python value of an attribute value. Numbers are `Decimal`, sets are `set`."""
    ((kind, value),) = stored.items()
    if kind == "N":
        return Decimal(value)
    if kind == "M":
        return {name: from_attribute_value(inner) for name, inner in value.items()}
    if kind == "L":
        return [from_attribute_value(inner) for inner in value]
    if kind == "NULL":
        return None
    if kind == "NS":
        return set(map(Decimal, value))
    if kind == "SS":
        return set(value)
    if kind == "B":
        return _bytes(value)
    return set(map(_bytes, value)) if kind == "BS" else value


def _bytes(value: str | bytes) -> bytes:
    """Decode base64 from the wire; a value that was just created is bytes."""
    return base64.b64decode(value) if isinstance(value, str) else value
