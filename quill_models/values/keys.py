"""How text, times and numbers become key components, and back.

A key is its components joined by ``#``. Inside a component every character up to ``%`` (the
control characters, space, ``!``, ``"``, ``#``, ``$`` and ``%``) is written as ``%`` and two
hexadecimal digits; all others stand as they are. Three things follow:

- No component contains ``#``, so the components can be read back, and two different lists of
  components never give one key.
- ``#`` sorts before every character a component can hold, and an escaped character (which starts
  with ``%``) before every one that stands as it is, so keys sort as their components do, one
  after the other, by Unicode code point. DynamoDB sorts text by its UTF-8 bytes, which is the
  same order.
- A prefix that ends with ``#`` matches nothing but the keys that begin with those components:
  ``METRIC#1#`` never matches ``METRIC#10``.
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
# The highest character of so many bytes in UTF-8.
_HIGHEST = ("", "\x7f", "\u07ff", "\uffff")


class Key(NamedTuple):
    """The primary key of an item: partition key and sort key, as they are stored."""

    pk: str
    sk: str


def escape(component: str) -> str:
    """One component as it stands in a key. Order-preserving; ``unquote`` of urllib undoes it."""
    if not isinstance(component, str):
        raise InvalidValue(f"a key is made of text, not of {type(component).__name__}")
    if not component.isascii():
        try:
            component.encode()
        except UnicodeEncodeError:
            raise InvalidValue(f"{component[:60]!r} is no valid Unicode text") from None
    if _ESCAPED.search(component) is None:
        return component
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", component)


def compose(*components: str) -> str:
    """The components, escaped and joined."""
    return DELIMITER.join(map(escape, components))


def prefix(*components: str) -> str:
    """What all keys that go on after these components begin with."""
    return compose(*components) + DELIMITER


def prefix_end(*components: str) -> str:
    """The smallest text above every key that begins with ``prefix(*components)``."""
    return compose(*components) + chr(ord(DELIMITER) + 1)


def compose_order(*components: str) -> str:
    """A sort key of an index, cut to what DynamoDB allows.

    Such a key only puts a list in order, it identifies nothing (items of one index may share a
    key), so that the end of a very long name may be left out of it.
    """
    text = compose(*components)
    encoded = text.encode()
    if len(encoded) <= SORT_KEY_BYTES:
        return text
    cut = encoded[:SORT_KEY_BYTES].decode(errors="ignore")
    # Where a character does not fit whole, the highest one that does stands for it.
    return cut + _HIGHEST[SORT_KEY_BYTES - len(cut.encode())]


def time_text(instant: datetime) -> str:
    """An instant as 27 characters that sort as the instants do: UTC, with microseconds."""
    # Without the "+00:00" at its end.
    return aware_utc(instant).isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """The instant that `time_text` wrote."""
    if len(text) != _TIME_CHARACTERS or text[-1] != "Z":
        raise ValueError(f"{text[:60]!r} is not of the form 2031-05-17T12:00:00.000000Z")
    # With the Z it is read as UTC.
    return datetime.fromisoformat(text)


def sequence_text(number: int) -> str:
    """A whole number from 0 as ten digits, which sort as the numbers do."""
    if not 0 <= number < 10**_SEQUENCE_DIGITS:
        raise InvalidValue(f"{number} is outside 0 to {10**_SEQUENCE_DIGITS - 1}")
    return f"{number:0{_SEQUENCE_DIGITS}d}"


def shard_of(identity: str, shards: int) -> int:
    """Which of ``shards`` an identity belongs to: always the same one, evenly spread."""
    return zlib.crc32(identity.encode()) % shards
