"""Lazy, ordered lists of one partition or many shards."""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import json
import operator
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat, zip_longest
from typing import Any, Generic, Protocol, Self, TypeVar

from quill_models.dynamodb.items import PK, SK, Condition, RawItem
from quill_models.dynamodb.pages import PageLimit, RawPage
from quill_models.dynamodb.table import Table
from quill_models.reads.read_ahead import ReadAhead, RequestPage
from quill_models.telemetry.operations import Operation
from quill_models.values.errors import InvalidCursor, InvalidValue

__all__ = ["Page", "Query"]


class Listed(Protocol):
    """The part of a model that a query uses."""

    @classmethod
    def from_item(cls, item: RawItem) -> Self:
        """Return the model of a stored item."""
        ...


M = TypeVar("M", bound=Listed)
# The item of each partition after which to read, or None for its beginning.
_Starts = dict[str, RawItem | None]
_Runner = Callable[..., Any]  # Calls a function as part of an operation.

_PARALLEL_REQUESTS = 8
_CHECKSUM_BYTES = 16
# About half the number of items that all shards of a list hold in advance.
_ITEMS_AHEAD = 4000
_MIN_ITEMS_PER_SHARD = 25


@dataclass(frozen=True)
class Page(Generic[M]):
    """A page of a list.

    Attributes:
        items: The models, in order.
        cursor: The start of the next page as URL-safe text. ``None`` at the end.
    """

    items: list[M]
    cursor: str | None


class Query(Generic[M]):
    """A lazy list.

    Iterate over it for all items, or call `page` to continue later, `first`, or `count`. While you
    use the items of a page, only the next page is in flight. The first requests of several shards
    are parallel. Reads of an index are eventually consistent.

    Cost: one request for each page of up to 1 MB of each partition (shard), at half a read unit per
    4 KB of an index. Logs and traces show requests under the call that returned the list.
    """

    def __init__(
        self,
        table: Table,
        model: type[M],
        partitions: Sequence[str] | Callable[[], Sequence[str]],
        *,
        index: str | None = None,
        between: tuple[str, str] | None = None,
        moving_end: bool = False,
        newest_first: bool = False,
        operation: str | None = None,
    ) -> None:
        self._table = table
        self._model = model
        self._given = partitions
        self._index = index
        self._key_names = (PK, SK) if index is None else (f"{index}pk", f"{index}sk")
        self._between = between
        self._moving_end = moving_end
        self._newest_first = newest_first
        self._operation = operation

    @property
    def _partitions(self) -> Sequence[str]:
        # An empty range (until before since) is an empty list, not an error of the server.
        if self._between is not None and self._between[0] > self._between[1]:
            return []
        # Read at each use, because the shards of a list can grow.
        return self._given() if callable(self._given) else self._given

    def __iter__(self) -> Iterator[M]:
        for item in self.raw_items():
            yield self._model.from_item(item)

    def raw_items(self) -> Iterator[RawItem]:
        """Yield the items in the wire format. Cost: the requests of an iteration."""
        with self._operation_scope() as run:
            for _, item in self._merged(run(self._starts, None), run, limit=None):
                yield item

    def page(self, limit: int = 100, cursor: str | None = None) -> Page[M]:
        """Return a page of up to ``limit`` items, and the cursor of the next page.

        Only the last page has fewer items, also if items between them have expired.

        Args:
            limit: Maximum number of items, at least 1.
            cursor: Cursor of the page before, from the same query.

        Raises:
            InvalidValue: ``limit`` is less than 1.
            InvalidCursor: The cursor was changed, or belongs to another query.

        Cost:
            One request of ``limit + 1`` items for each shard, more if many items have expired.
        """
        if limit < 1:
            raise InvalidValue(f"limit must be at least 1, got {limit}")
        items: list[M] = []
        with self._operation_scope() as run:
            starts = run(self._starts, cursor)
            names = dict.fromkeys((PK, SK, *self._key_names))
            # One more item shows whether there is another page.
            for partition, item in self._merged(starts, run, limit=limit + 1):
                if len(items) == limit:
                    return Page(items, self._cursor(starts))
                starts[partition] = {name: item[name] for name in names}
                items.append(self._model.from_item(item))
        return Page(items, None)

    def first(self) -> M | None:
        """Return the first item, or ``None``. Cost: one request of one item for each shard."""
        with self._operation_scope() as run:
            for _, item in self._merged(run(self._starts, None), run, limit=1):
                return self._model.from_item(item)
        return None

    def readable(
        self, limit: int, at_most: int
    ) -> tuple[list[M], list[tuple[RawItem, InvalidValue]]]:
        """Return the first readable items, and the unreadable items between them.

        Args:
            limit: Maximum number of readable items.
            at_most: Maximum number of unreadable items.

        Returns:
            The models, and the unreadable items in the wire format, each with its error.

        Cost:
            One request for each shard, more if many items have expired or are unreadable.
        """
        items: list[M] = []
        unreadable: list[tuple[RawItem, InvalidValue]] = []
        with self._operation_scope() as run:
            for _, item in self._merged(run(self._starts, None), run, limit=limit):
                try:
                    items.append(self._model.from_item(item))
                except InvalidValue as error:
                    unreadable.append((item, error))
                if len(items) == limit or len(unreadable) == at_most:
                    break
        return items, unreadable

    def count(self) -> int:
        """Return the number of items. Cost: the requests and read units of reading all items."""

        def count_all() -> int:
            conditions = [self._condition(each) for each in self._partitions]
            parallel = min(_PARALLEL_REQUESTS, len(conditions) or 1)
            with ReadAhead(parallel, is_wanted=False) as ahead:
                return sum(ahead.all(partial(self._table.count, index=self._index), conditions))

        with self._operation_scope() as run:
            total: int = run(count_all)
            return total

    @contextmanager
    def _operation_scope(self) -> Iterator[_Runner]:
        """Yield the runner of the read operation. Inside another call, it is part of that call."""
        if self._operation is None:
            yield operator.call
            return
        with Operation(self._operation, self._table) as operation:
            yield operation.run

    def _condition(self, partition: str) -> Condition:
        pk, sk = self._key_names
        if self._between is None:
            return Condition("#pk = :pk", {"#pk": pk}, {":pk": {"S": partition}})
        lower, upper = self._between
        return Condition(
            "#pk = :pk AND #sk BETWEEN :lower AND :upper",
            {"#pk": pk, "#sk": sk},
            {":pk": {"S": partition}, ":lower": {"S": lower}, ":upper": {"S": upper}},
        )

    def _pages_of(
        self, partition: str, run: _Runner, limit: int | None, partitions: int
    ) -> RequestPage:
        """Return the function that requests the pages of a partition one after the other."""
        condition = self._condition(partition)
        full = PageLimit()
        maximum = full.items
        if limit is not None:
            requested = min(limit, maximum)
        elif partitions == 1:
            requested = maximum
        else:
            # Less than a full page, because each of many shards holds one.
            requested = max(_MIN_ITEMS_PER_SHARD, _ITEMS_AHEAD // partitions)

        def request(start: RawItem | None) -> RawPage:
            nonlocal requested
            page: RawPage = run(
                self._table.query,
                condition,
                index=self._index,
                newest_first=self._newest_first,
                limit=requested,
                start=start,
            )
            if limit is not None:
                # Expired items count towards the limit of a request. So a growing limit passes
                # many expired items in few requests.
                requested = min(2 * requested, maximum)
            elif partitions == 1:
                full.update(page.scanned)
                requested = full.items
            return page

        return request

    def _merged(
        self, starts: _Starts, run: _Runner, limit: int | None
    ) -> Iterator[tuple[str, RawItem]]:
        """Yield the items with their partition, in order."""
        if not starts:
            return
        _, sort_key = self._key_names
        with ReadAhead(min(_PARALLEL_REQUESTS, len(starts)), is_wanted=limit is None) as ahead:
            requests = [self._pages_of(each, run, limit, len(starts)) for each in starts]
            pages = ahead.all(
                lambda each: each[0](each[1]), list(zip(requests, starts.values(), strict=True))
            )
            readers = [
                zip(repeat(partition), ahead.items(page, request), strict=False)
                for partition, page, request in zip(starts, pages, requests, strict=True)
            ]
            # The readers release their first pages after use.
            del pages
            if len(readers) == 1:
                yield from readers[0]
            else:
                # With equal sort keys, items of the lower shard come first on every page.
                yield from heapq.merge(
                    *readers,
                    key=lambda entry: entry[1][sort_key]["S"],
                    reverse=self._newest_first,
                )

    def _checksum(self, content: bytes) -> bytes:
        identity = [
            self._table.name,
            getattr(self._model, "KIND", ""),
            # Not the number of partitions: a cursor stays valid if the shards grow.
            self._partitions[:1],
            self._index,
            # An upper end at the present differs for the next page.
            self._between[:1] if self._between and self._moving_end else self._between,
            self._newest_first,
        ]
        fingerprint = hashlib.sha256(json.dumps(identity).encode()).digest()
        return hashlib.sha256(fingerprint + content).digest()[:_CHECKSUM_BYTES]

    def _cursor(self, starts: _Starts) -> str:
        described = json.dumps([*starts.values()], separators=(",", ":"))
        content = zlib.compress(described.encode())
        return _text_of(self._checksum(content) + content)

    def _starts(self, cursor: str | None) -> _Starts:
        partitions = self._partitions
        if cursor is None:
            return dict.fromkeys(partitions)
        try:
            decoded = base64.b64decode(
                cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
            )
        except (binascii.Error, ValueError, TypeError):
            raise InvalidCursor(
                "The cursor is not from a page of this package. Start again without one."
            ) from None
        checksum, content = decoded[:_CHECKSUM_BYTES], decoded[_CHECKSUM_BYTES:]
        # Unused bits of the last character must not produce another valid cursor.
        if _text_of(decoded) != cursor or checksum != self._checksum(content):
            raise InvalidCursor(
                "The cursor was changed, or belongs to another table, list, range or order. Start "
                "again without one."
            )
        # Shards added since then are read from their beginning.
        starts: list[RawItem | None] = json.loads(zlib.decompress(content))
        return dict(zip_longest(partitions, starts))


def _text_of(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
