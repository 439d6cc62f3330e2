"""The number of shards of the sharded lists of a table.

The number is stored in the table, so that every process has the same one. It can only grow, in two
steps, so that no reader misses an item. First, readers also query the new shards. Writers use them
only after every process has had time to read the new number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quill_models.dynamodb.items import RawItem
from quill_models.values.clock import Clock
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["DEFAULT_SHARDS", "MAX_AGE", "TABLE_SETTINGS", "ShardCount", "Shards"]

# Enough for about 700 events a second; see quill help scaling.
DEFAULT_SHARDS = 4
MAX_SHARDS = 1000
# The maximum age of the number in a process, and the time that writers wait for readers.
MAX_AGE = timedelta(seconds=60)
_GRACE = 2 * MAX_AGE
# The item with the settings of the table, such as its number of shards.
TABLE_SETTINGS = Key("QUILL", "SETTINGS")

_SHARDS, _NEXT, _NEXT_FROM = "shards", "next_shards", "next_from"


@dataclass(frozen=True)
class ShardCount:
    """The stored number of shards and, while it grows, the next number and its time."""

    shards: int = DEFAULT_SHARDS
    next_shards: int = 0
    next_from: datetime | None = None

    @classmethod
    def from_attributes(cls, item: RawItem | None) -> ShardCount:
        """Read the stored item, or return the default if there is none."""
        if item is None or _SHARDS not in item:
            return cls()
        next_from = item.get(_NEXT_FROM)
        return cls(
            int(item[_SHARDS]["N"]),
            int(item.get(_NEXT, {}).get("N", 0)),
            None if next_from is None else datetime.fromtimestamp(int(next_from["N"]), UTC),
        )

    def to_attributes(self) -> RawItem:
        """Return the attributes to store."""
        attributes: RawItem = {_SHARDS: {"N": str(self.shards)}}
        if self.next_from is not None:
            attributes[_NEXT] = {"N": str(self.next_shards)}
            attributes[_NEXT_FROM] = {"N": str(int(self.next_from.timestamp()))}
        return attributes

    def to_write(self, now: datetime) -> int:
        """Return the number of shards for a writer."""
        if self.next_from is not None and now >= self.next_from:
            return self.next_shards
        return self.shards

    def to_read(self) -> int:
        """Return the number of shards for a reader."""
        return max(self.shards, self.next_shards)

    def grown(self, shards: int, now: datetime) -> ShardCount:
        """Return the first step of growing.

        Raises:
            InvalidValue: Fewer shards than now, more than 1,000, or the shards are already growing.
        """
        if not self.to_read() <= shards <= MAX_SHARDS:
            raise InvalidValue(
                f"shards must be from {self.to_read()} (the present number, which can only grow) "
                f"to {MAX_SHARDS}, got {shards}"
            )
        if self.next_from is not None and now < self.next_from:
            raise InvalidValue(
                f"The shards are already growing to {self.next_shards}. Retry after "
                f"{self.next_from.isoformat()}."
            )
        return ShardCount(self.to_write(now), shards, now + _GRACE)


class Shards:
    """The number of shards in this process, read again every minute."""

    def __init__(self, read: Callable[[], RawItem | None], clock: Clock) -> None:
        self._read, self._clock = read, clock
        self._count: ShardCount | None = None
        self._read_at: datetime | None = None

    @property
    def known(self) -> ShardCount:
        """The last number that was read. Cost: no request."""
        return self._count or ShardCount()

    def current(self) -> ShardCount:
        """Return the number, at most a minute old. Cost: one request a minute."""
        now = self._clock()
        count = self._count
        if count is None or self._read_at is None or now - self._read_at >= MAX_AGE:
            # If two threads read, both get the same number.
            count = self._count = ShardCount.from_attributes(self._read())
            self._read_at = now
        return count

    def invalidate(self) -> None:
        """Read the number again at the next use."""
        self._read_at = None
