"""Items in the wire format of DynamoDB: key, token, expiry, size, and conditions.

An item maps names to typed values: ``{"pk": {"S": "AGENT#7"}}``.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from quill_models.values.errors import InvalidPayload
from quill_models.values.keys import Key

__all__ = [
    "CREATED_TOKEN",
    "ITEM_BYTES",
    "NOT_EXPIRED",
    "PK",
    "SK",
    "TTL",
    "WRITE_TOKEN",
    "Condition",
    "RawItem",
    "check_size",
    "creator_of",
    "is_live",
    "key_of",
    "new_token",
    "raw_key",
    "size_of",
    "token_of",
]

RawItem = dict[str, dict[str, Any]]

PK, SK, TTL, WRITE_TOKEN = "pk", "sk", "ttl", "write_token"
# Only in rewritten items. In others, the write token is the created token.
CREATED_TOKEN = "created_token"  # noqa: S105


def new_token() -> str:
    """Return a unique text, by which a writer recognises its own stored item."""
    return secrets.token_urlsafe(8)


def key_of(item: RawItem) -> Key:
    """Return the primary key of a stored item."""
    return Key(item[PK]["S"], item[SK]["S"])


def raw_key(key: Key) -> RawItem:
    """Return a key in the wire format."""
    return {PK: {"S": key.pk}, SK: {"S": key.sk}}


def token_of(item: RawItem | None) -> str | None:
    """Return the token of the write that stored an item."""
    return item.get(WRITE_TOKEN, {}).get("S") if item else None


def creator_of(item: RawItem | None) -> str | None:
    """Return the token of the write that created an item, also if it was rewritten since."""
    if item is None:
        return None
    return item[CREATED_TOKEN]["S"] if CREATED_TOKEN in item else token_of(item)


def is_live(item: RawItem, now: datetime) -> bool:
    """Return whether an item has not expired. As on AWS, a ``ttl`` must be a number to expire."""
    seconds = item.get(TTL, {}).get("N")
    return seconds is None or float(seconds) > int(now.timestamp())


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
ITEM_BYTES = 400 * 1024
# The overhead of a map or list, and of each of its members.
_CONTAINER_BYTES, _MEMBER_BYTES = 3, 1


def size_of(item: RawItem) -> int:
    """Return the size of an item in bytes: names and values.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    total = 0
    for name, value in item.items():
        total += _text_bytes(name)
        text = value.get("S")
        total += _value_bytes(value) if text is None else _text_bytes(text)
    return total


def check_size(item: RawItem) -> int:
    """Return the size of an item in bytes.

    Raises:
        InvalidPayload: The item is over 400 KB. Nothing was sent.
    """
    size = size_of(item)
    if size > ITEM_BYTES:
        key = key_of(item)
        raise InvalidPayload(
            f"The item {key.pk} / {key.sk} has {size} bytes; the maximum is {ITEM_BYTES} (400 KB). "
            "Store the large part elsewhere, such as in S3, and its address in the item."
        )
    return size


def _text_bytes(text: str) -> int:
    # ASCII need not be encoded to be counted.
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
        return _CONTAINER_BYTES + sum(map(_value_bytes, value)) + _MEMBER_BYTES * len(value)
    if kind in {"SS", "NS", "BS"}:
        return sum(_value_bytes({kind[0]: member}) for member in value)
    return 1


_ABSENT = "attribute_not_exists(#pk) OR #ttl <= :now"
# "Not expired" rather than "expires later": false for a missing or textual ttl.
NOT_EXPIRED = "NOT #ttl <= :now"


@dataclass(frozen=True)
class Condition:
    """A condition expression with its names and values."""

    expression: str
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def absent(cls, now: datetime) -> Condition:
        """Require that there is no item, or only an expired one."""
        return cls(_ABSENT, {"#pk": PK, "#ttl": TTL}, {":now": {"N": str(int(now.timestamp()))}})

    @classmethod
    def unchanged_since(cls, token: str | None) -> Condition:
        """Require the item that the write with this token stored."""
        if token is None:
            return cls("attribute_not_exists(#token)", {"#token": WRITE_TOKEN})
        return cls("#token = :token", {"#token": WRITE_TOKEN}, {":token": {"S": token}})

    @property
    def is_absent(self) -> bool:
        """Whether this is the condition of `absent`."""
        return self.expression == _ABSENT

    @classmethod
    def none(cls) -> Condition:
        """Require nothing."""
        return cls("")

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a write that returns the stored item if the condition fails."""
        if not self.expression:
            return {}
        return {
            "ConditionExpression": self.expression,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **({"ExpressionAttributeNames": self.names} if self.names else {}),
            **({"ExpressionAttributeValues": self.values} if self.values else {}),
        }
