"""Lists: lazy, in order, page by page, over one partition or many shards."""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from quill_models.errors import InvalidCursor, InvalidValue
from quill_models.models import QuillModel
from quill_models.table import PK, SK, Condition, RawItem, Table

__all__ = ["Page", "Query"]

M = TypeVar("M", bound=QuillModel)

_PARALLEL_REQUESTS = 8
_CHECKSUM_BYTES = 16
# All shards of a list together hold about so many items that nobody has asked for yet, twice over.
_ITEMS_AHEAD = 4000
_FEWEST_OF_A_SHARD = 25
# The next page is asked for when so much of this one is used: whoever stops at the first few items
# does not pay for more.
_USED_BEFORE_THE_NEXT = 10

RawPage = tuple[list[RawItem], RawItem | None]


@dataclass(frozen=True)
class Page(Generic[M]):
    """Some of a list.

    Attributes:
        items: the models, in order.
        cursor: where the next page begins, as URL-safe text; ``None`` at the end.
    """

    items: list[M]
    cursor: str | None


class Query(Generic[M]):
    """A list that is read as it is used.

    Iterate it for all items; take a `page` at a time where the place is to be kept; ask for the
    `first`; or `count`. Each partition (shard) costs one request for each page of up to 1 MB;
    the first requests of several shards are made in parallel. Reads of an index are eventually
    consistent and cost half a read unit per 4 KB.

    While the items of a page are used, the next page is on its way: one ahead and no more, however
    long the list is. Whoever stops early stops that, too.
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
    ) -> None:
        self._table = table
        self._model = model
        self._given = partitions
        self._index = index
        self._between = between
        self._moving_end = moving_end
        self._newest_first = newest_first

    @property
    def _partitions(self) -> Sequence[str]:
        # An empty range (until before since) is an empty list, not an error of the server.
        if self._between is not None and self._between[0] > self._between[1]:
            return []
        # Those of a sharded list are asked for at each use, as they may have grown.
        return self._given() if callable(self._given) else self._given

    def __iter__(self) -> Iterator[M]:
        for item in self.raw_items():
            yield self._model.from_item(item)

    def raw_items(self) -> Iterator[RawItem]:
        """The same items, lazily too, as DynamoDB's wire format has them."""
        for _, item in self._merged(self._places(None), limit=None):
            yield item

    def page(self, limit: int = 100, cursor: str | None = None) -> Page[M]:
        """Up to ``limit`` items, and where to go on.

        A page has fewer items only at the end, whatever has expired in between.

        Args:
            limit: 1 or more.
            cursor: of the page before, from the same query.

        Raises:
            ValueError: ``limit`` is less than 1.
            InvalidCursor: the cursor was altered, or is of another query.
        """
        if limit < 1:
            raise InvalidValue(f"limit must be 1 or more, not {limit}")
        places = self._places(cursor)
        items: list[M] = []
        # One more than asked for tells whether anything is left.
        merged = self._merged(places, limit=limit + 1)
        for at, item in merged:
            if len(items) == limit:
                return Page(items, self._cursor(places))
            places[at] = _Place(places[at].partition, self._start_key(item))
            items.append(self._model.from_item(item))
        return Page(items, None)

    def first(self) -> M | None:
        """The first item, or ``None``. One request for each shard, of one item each."""
        for _, item in self._merged(self._places(None), limit=1):
            return self._model.from_item(item)
        return None

    def count(self) -> int:
        """How many there are now. Costs as many read units as reading them."""

        def count_one(partition: str) -> int:
            total, start = 0, None
            while True:
                found, start = self._table.count(
                    self._condition(partition),
                    index=self._index,
                    start=start,
                )
                total += found
                if start is None:
                    return total

        partitions = self._partitions
        with _Ahead(min(_PARALLEL_REQUESTS, len(partitions) or 1), is_wanted=False) as ahead:
            return sum(ahead.all(count_one, partitions))

    # One partition.

    def _condition(self, partition: str) -> Condition:
        pk, sk = (PK, SK) if self._index is None else (f"{self._index}pk", f"{self._index}sk")
        if self._between is None:
            return Condition("#pk = :pk", {"#pk": pk}, {":pk": {"S": partition}})
        lower, upper = self._between
        return Condition(
            "#pk = :pk AND #sk BETWEEN :lower AND :upper",
            {"#pk": pk, "#sk": sk},
            {":pk": {"S": partition}, ":lower": {"S": lower}, ":upper": {"S": upper}},
        )

    def _request(
        self, partition: str, start: RawItem | None, limit: int | None
    ) -> tuple[list[RawItem], RawItem | None]:
        return self._table.query(
            self._condition(partition),
            index=self._index,
            newest_first=self._newest_first,
            limit=limit,
            start=start,
        )

    def _start_key(self, item: RawItem) -> RawItem:
        names = [PK, SK]
        if self._index is not None:
            names += [f"{self._index}pk", f"{self._index}sk"]
        return {name: item[name] for name in names}

    # All of them, in order.

    def _merged(self, places: Sequence[_Place], limit: int | None) -> Iterator[tuple[int, RawItem]]:
        """The items with the number of their partition, in order."""
        if not places:
            return
        sort_key = SK if self._index is None else f"{self._index}sk"

        def order(entry: tuple[int, RawItem]) -> str:
            # Of equal sort keys the lower shard's come first, on every page alike.
            _, item = entry
            sort_value: str = item[sort_key]["S"]
            return sort_value

        # Of one partition as much as a request gives; of many shards less, as each holds a page.
        asked = limit
        if limit is None and len(places) > 1:
            asked = max(_FEWEST_OF_A_SHARD, _ITEMS_AHEAD // len(places))
        with _Ahead(min(_PARALLEL_REQUESTS, len(places)), is_wanted=limit is None) as ahead:
            pages = ahead.all(
                lambda place: self._request(place.partition, place.start, asked), places
            )
            readers = [
                self._items_of(at, place.partition, page, asked, ahead)
                for at, (place, page) in enumerate(zip(places, pages, strict=True))
            ]
            if len(readers) == 1:
                yield from readers[0]
            else:
                yield from heapq.merge(*readers, key=order, reverse=self._newest_first)

    def _items_of(
        self, at: int, partition: str, page: RawPage, asked: int | None, ahead: _Ahead
    ) -> Iterator[tuple[int, RawItem]]:
        """The items of one partition, from its first page on."""
        while True:
            items, start = page
            coming: Future[RawPage] | None = None
            if not ahead.is_wanted and asked is not None:
                # What has expired counts towards a request's limit: ask for more each time, so
                # that a long stretch of it costs few requests.
                asked *= 2
            wanted_from = len(items) // _USED_BEFORE_THE_NEXT
            for number, item in enumerate(items):
                yield at, item
                if number == wanted_from and start is not None:
                    coming = ahead.begin(self._request, partition, start, asked)
            if start is None:
                return
            page = self._request(partition, start, asked) if coming is None else coming.result()

    # Cursors.

    def _fingerprint(self) -> bytes:
        described = json.dumps(
            [
                self._table.name,
                self._model.KIND,
                # Not how many: a cursor outlives the growing of the shards.
                self._partitions[:1],
                self._index,
                # Where the upper end is the present, it is another one for the next page.
                self._between[:1] if self._between and self._moving_end else self._between,
                self._newest_first,
            ]
        )
        return hashlib.sha256(described.encode()).digest()

    def _checksum(self, content: bytes) -> bytes:
        return hashlib.sha256(self._fingerprint() + content).digest()[:_CHECKSUM_BYTES]

    def _cursor(self, places: Sequence[_Place]) -> str:
        described = json.dumps([place.start for place in places], separators=(",", ":"))
        content = zlib.compress(described.encode())
        return base64.urlsafe_b64encode(self._checksum(content) + content).decode().rstrip("=")

    def _places(self, cursor: str | None) -> list[_Place]:
        if cursor is None:
            return [_Place(partition) for partition in self._partitions]
        try:
            decoded = base64.b64decode(
                cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
            )
        except (binascii.Error, ValueError, TypeError):
            raise InvalidCursor("The cursor is not one that a page of this package gave.") from None
        # Bits of the last character that say nothing must not make another cursor of it.
        canonical = base64.urlsafe_b64encode(decoded).decode().rstrip("=") == cursor
        checksum, content = decoded[:_CHECKSUM_BYTES], decoded[_CHECKSUM_BYTES:]
        if not canonical or checksum != self._checksum(content):
            raise InvalidCursor(
                "The cursor was altered or belongs to another query (another table, list, range "
                "or order). Start again without one."
            )
        starts: list[RawItem | None] = json.loads(zlib.decompress(content))
        # Shards that were added since are read from their beginning.
        partitions = self._partitions
        starts += [None] * (len(partitions) - len(starts))
        return [_Place(*place) for place in zip(partitions, starts, strict=True)]


@dataclass(frozen=True)
class _Place:
    """Where reading a partition goes on: after ``start``, from the beginning where ``None``."""

    partition: str
    start: RawItem | None = None


A = TypeVar("A")
B = TypeVar("B")


class _Ahead:
    """Requests that are made before their answers are asked for.

    Attributes:
        is_wanted: whether pages are to be fetched ahead at all.
    """

    def __init__(self, parallel: int, *, is_wanted: bool) -> None:
        self.is_wanted = is_wanted
        self._parallel = parallel
        self._pool: ThreadPoolExecutor | None = None

    def _threads(self) -> ThreadPoolExecutor:
        # Most lists are of one page and need none.
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._parallel, "quill-read")
        return self._pool

    def all(self, function: Callable[[A], B], arguments: Sequence[A]) -> list[B]:
        """What a function gives for each, at the same time."""
        if len(arguments) < 2:
            return [function(argument) for argument in arguments]
        return list(self._threads().map(function, arguments))

    def begin(
        self, request: Callable[[str, RawItem | None, int | None], RawPage], *arguments: Any
    ) -> Future[RawPage] | None:
        """Make a request in the background."""
        return self._threads().submit(request, *arguments) if self.is_wanted else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Nobody waits for what nobody wants any more.
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
