"""How large an item is, as DynamoDB counts it."""

from __future__ import annotations

from typing import Any

from quill_models.errors import InvalidPayload
from quill_models.table import RawItem, key_of

__all__ = ["ITEM_BYTES", "check_size", "size_of"]

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
ITEM_BYTES = 400 * 1024
# What DynamoDB adds for a map or list, and for each of its members.
_CONTAINER_BYTES, _MEMBER_BYTES = 3, 1


def size_of(item: RawItem) -> int:
    """The size of an item in bytes: names and values.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    total = 0
    for name, value in item.items():
        total += _text_bytes(name)
        text = value.get("S")
        total += _value_bytes(value) if text is None else _text_bytes(text)
    return total


def check_size(item: RawItem) -> int:
    """The size of an item that DynamoDB will take.

    Raises:
        InvalidPayload: it is over 400 KB; nothing was sent.
    """
    size = size_of(item)
    if size > ITEM_BYTES:
        key = key_of(item)
        raise InvalidPayload(
            f"the item {key.pk} / {key.sk} has {size} bytes; DynamoDB takes {ITEM_BYTES} "
            "(400 KB). Keep the large part elsewhere, such as in S3, and store where it is."
        )
    return size


def _text_bytes(text: str) -> int:
    # Counting characters first spares encoding what is plain ASCII.
    return len(text) if text.isascii() else len(text.encode())


def _value_bytes(stored: dict[str, Any]) -> int:
    ((kind, value),) = stored.items()
    if kind == "S":
        return _text_bytes(value)
    if kind == "N":
        # About one byte for two digits, one more for the exponent and one for a sign.
        return len(value) // 2 + 2
    if kind == "B":
        return len(value)
    if kind == "M":
        return _CONTAINER_BYTES + size_of(value) + _MEMBER_BYTES * len(value)
    if kind == "L":
        members = sum(map(_value_bytes, value)) + _MEMBER_BYTES * len(value)
        return _CONTAINER_BYTES + members
    if kind in {"SS", "NS", "BS"}:
        return sum(_value_bytes({kind[0]: member}) for member in value)
    return 1
