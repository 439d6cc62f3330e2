"""Over how many partitions the sharded lists of a table are spread.

The number is stored in the table, so that every process has the same one. It can only grow, and
growing happens in two steps, so that no reader ever misses an item: at once every reader asks the
new shards as well; only when each process has had time to learn of them do writers use them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quill_models.dynamodb.items import RawItem
from quill_models.values.clock import Clock
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["DEFAULT_SHARDS", "LEARN_WITHIN", "TABLE_SETTINGS", "ShardCount", "Shards"]

# Enough for about 700 events a second; see quill help scaling.
DEFAULT_SHARDS = 4
MOST_SHARDS = 1000
# How old a process's knowledge may be, and how long writers wait for all readers to know.
LEARN_WITHIN = timedelta(seconds=60)
_GRACE = 2 * LEARN_WITHIN
# What is known about the table itself, such as its number of shards.
TABLE_SETTINGS = Key("QUILL", "SETTINGS")

_SHARDS, _NEXT, _NEXT_FROM = "shards", "next_shards", "next_from"


@dataclass(frozen=True)
class ShardCount:
    """What is stored: the number of shards, and, while it grows, the next one from a time on."""

    shards: int = DEFAULT_SHARDS
    next_shards: int = 0
    next_from: datetime | None = None

    @classmethod
    def from_attributes(cls, item: RawItem | None) -> ShardCount:
        """From the stored item; the default if there is none."""
        if item is None or _SHARDS not in item:
            return cls()
        next_from = item.get(_NEXT_FROM)
        return cls(
            int(item[_SHARDS]["N"]),
            int(item.get(_NEXT, {}).get("N", 0)),
            None if next_from is None else datetime.fromtimestamp(int(next_from["N"]), UTC),
        )

    def to_attributes(self) -> RawItem:
        """What is stored of it."""
        attributes: RawItem = {_SHARDS: {"N": str(self.shards)}}
        if self.next_from is not None:
            attributes[_NEXT] = {"N": str(self.next_shards)}
            attributes[_NEXT_FROM] = {"N": str(int(self.next_from.timestamp()))}
        return attributes

    def to_write(self, now: datetime) -> int:
        """Over how many shards a writer spreads its items."""
        if self.next_from is not None and now >= self.next_from:
            return self.next_shards
        return self.shards

    def to_read(self) -> int:
        """How many shards a reader asks."""
        return max(self.shards, self.next_shards)

    def grown(self, shards: int, now: datetime) -> ShardCount:
        """The first step of growing.

        Raises:
            InvalidValue: Fewer than there are, more than 1,000, or still growing from before.
        """
        if not self.to_read() <= shards <= MOST_SHARDS:
            raise InvalidValue(
                f"the number of shards is {shards}; allowed are {self.to_read()} (what there "
                f"are, as it can only grow) to {MOST_SHARDS}"
            )
        if self.next_from is not None and now < self.next_from:
            raise InvalidValue(
                f"the shards are growing to {self.next_shards} already; try again at "
                f"{self.next_from.isoformat()}"
            )
        return ShardCount(self.to_write(now), shards, now + _GRACE)


class Shards:
    """What this process knows of the number, read again every minute."""

    def __init__(self, read: Callable[[], RawItem | None], clock: Clock) -> None:
        self._read, self._clock = read, clock
        self._count: ShardCount | None = None
        self._read_at: datetime | None = None

    @property
    def known(self) -> ShardCount:
        """As far as it is known without a request."""
        return self._count or ShardCount()

    def current(self) -> ShardCount:
        """At most a minute old. One request, once a minute."""
        now = self._clock()
        count = self._count
        if count is None or self._read_at is None or now - self._read_at >= LEARN_WITHIN:
            # Two threads may both read; they learn the same.
            count = self._count = ShardCount.from_attributes(self._read())
            self._read_at = now
        return count

    def forget(self) -> None:
        """Read it again at the next use."""
        self._read_at = None
