"""Composing keys from text, times and numbers.

A key is a list of components joined by ``#``. In a component, every character up to ``%`` (the
control characters, space, ``!``, ``"``, ``#``, ``$`` and ``%``) is escaped as ``%`` and two
hexadecimal digits; other characters are unchanged. So:

- No component contains ``#``. Two different lists of components never have the same key.
- Keys sort as their components do, one after the other, by Unicode code point. ``#`` sorts before
  every character of a component, and an escaped character before every other one. DynamoDB sorts
  text by its UTF-8 bytes, which is the same order.
- A prefix that ends with ``#`` matches only keys that start with those components: ``METRIC#1#``
  never matches ``METRIC#10``.
"""

from __future__ import annotations

import re
import zlib
from datetime import datetime
from typing import NamedTuple

from quill_models.values.clock import aware_utc
from quill_models.values.errors import InvalidValue

__all__ = [
    "DELIMITER",
    "PARTITION_KEY_BYTES",
    "SORT_KEY_BYTES",
    "Key",
    "compose",
    "compose_order",
    "escape",
    "parse_time",
    "prefix",
    "prefix_end",
    "sequence_text",
    "shard_of",
    "time_text",
]

DELIMITER = "#"
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
PARTITION_KEY_BYTES = 2048
SORT_KEY_BYTES = 1024

_ESCAPED = re.compile(r"[\x00-%]")
_SEQUENCE_DIGITS = 10
_TIME_CHARACTERS = 27
# The highest character of 0 to 3 bytes in UTF-8.
_HIGHEST = ("", "\x7f", "\u07ff", "\uffff")


class Key(NamedTuple):
    """The primary key of an item: the stored partition key and sort key."""

    pk: str
    sk: str


def escape(component: str) -> str:
    """Escape a component, preserving the order. ``unquote`` of urllib reverses it."""
    if not isinstance(component, str):
        raise InvalidValue(f"a key component must be text, got {type(component).__name__}")
    if not component.isascii():
        try:
            component.encode()
        except UnicodeEncodeError:
            raise InvalidValue(f"key component {component[:60]!r} is not valid Unicode") from None
    if _ESCAPED.search(component) is None:
        return component
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", component)


def compose(*components: str) -> str:
    """Return the key of the components, escaped and joined."""
    return DELIMITER.join(map(escape, components))


def prefix(*components: str) -> str:
    """Return the prefix of all keys that continue after these components."""
    return compose(*components) + DELIMITER


def prefix_end(*components: str) -> str:
    """Return the smallest text above every key that starts with ``prefix(*components)``."""
    return compose(*components) + chr(ord(DELIMITER) + 1)


def compose_order(*components: str) -> str:
    """Return a sort key of an index, cut to the maximum length of DynamoDB.

    Such a key only orders a list, and items of one index may share a key. So the end of a very
    long name can be left out.
    """
    text = compose(*components)
    encoded = text.encode()
    if len(encoded) <= SORT_KEY_BYTES:
        return text
    cut = encoded[:SORT_KEY_BYTES].decode(errors="ignore")
    # If a character does not fit completely, the highest one that fits replaces it.
    return cut + _HIGHEST[SORT_KEY_BYTES - len(cut.encode())]


def time_text(instant: datetime) -> str:
    """Return an instant in UTC as 27 characters with microseconds, which sort by time."""
    # Without the "+00:00" at its end.
    return aware_utc(instant).isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """Return the instant of a `time_text`."""
    if len(text) != _TIME_CHARACTERS or text[-1] != "Z":
        raise ValueError(f"{text[:60]!r} is not of the form 2031-05-17T12:00:00.000000Z")
    return datetime.fromisoformat(text)


def sequence_text(number: int) -> str:
    """Return a whole number from 0 as ten digits, which sort by number."""
    if not 0 <= number < 10**_SEQUENCE_DIGITS:
        raise InvalidValue(f"{number} is outside 0 to {10**_SEQUENCE_DIGITS - 1}")
    return f"{number:0{_SEQUENCE_DIGITS}d}"


def shard_of(identity: str, shards: int) -> int:
    """Return the shard of an identity, from 0: always the same, evenly spread."""
    return zlib.crc32(identity.encode()) % shards
