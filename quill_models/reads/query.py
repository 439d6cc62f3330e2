"""Lists: lazy, in order, page by page, over one partition or many shards."""

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
    """What a query needs of the models that it lists."""

    @classmethod
    def from_item(cls, item: RawItem) -> Self:
        """The model of a stored item."""
        ...


M = TypeVar("M", bound=Listed)
# After which item of each partition to read; from its beginning, if that is None.
_Starts = dict[str, RawItem | None]
_Runner = Callable[..., Any]  # Calls a function with its arguments, as work for an operation.

_PARALLEL_REQUESTS = 8
_CHECKSUM_BYTES = 16
# All shards of a list together hold about so many items that nobody has asked for yet, twice over.
_ITEMS_AHEAD = 4000
_FEWEST_OF_A_SHARD = 25


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

    While the items of a page are used, the next page is in flight: one ahead and no more, however
    long the list is. Stopping early stops that, too. Its requests are logged and traced under the
    name of the public call that returned it.
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
        # Those of a sharded list are asked for at each use, as they may have grown.
        return self._given() if callable(self._given) else self._given

    def __iter__(self) -> Iterator[M]:
        for item in self.raw_items():
            yield self._model.from_item(item)

    def raw_items(self) -> Iterator[RawItem]:
        """The same items, lazily too, as DynamoDB's wire format has them; at the same requests."""
        with self._begun() as run:
            for _, item in self._merged(run(self._starts, None), run, limit=None):
                yield item

    def page(self, limit: int = 100, cursor: str | None = None) -> Page[M]:
        """Up to ``limit`` items, and where to go on.

        A page has fewer items only at the end, whatever has expired in between. One request for
        each shard, of one item more than asked for; another where much has expired.

        Args:
            limit: how many items, 1 or more.
            cursor: of the page before, from the same query.

        Raises:
            InvalidValue: ``limit`` is less than 1.
            InvalidCursor: the cursor was altered, or is of another query.
        """
        if limit < 1:
            raise InvalidValue(f"limit must be 1 or more, not {limit}")
        items: list[M] = []
        with self._begun() as run:
            starts = run(self._starts, cursor)
            names = dict.fromkeys((PK, SK, *self._key_names))
            # One more than asked for tells whether anything is left.
            for partition, item in self._merged(starts, run, limit=limit + 1):
                if len(items) == limit:
                    return Page(items, self._cursor(starts))
                starts[partition] = {name: item[name] for name in names}
                items.append(self._model.from_item(item))
        return Page(items, None)

    def first(self) -> M | None:
        """The first item, or ``None``. One request for each shard, of one item each."""
        with self._begun() as run:
            for _, item in self._merged(run(self._starts, None), run, limit=1):
                return self._model.from_item(item)
        return None

    def readable(
        self, limit: int, at_most: int
    ) -> tuple[list[M], list[tuple[RawItem, InvalidValue]]]:
        """The first items that can be read, and those between them that cannot.

        One request for each shard, and more where many have expired or cannot be read.

        Args:
            limit: how many that can be read.
            at_most: it ends after so many that cannot be read.

        Returns:
            The models, and the others as DynamoDB has them, each with what is wrong with it.
        """
        items: list[M] = []
        unreadable: list[tuple[RawItem, InvalidValue]] = []
        with self._begun() as run:
            for _, item in self._merged(run(self._starts, None), run, limit=limit):
                try:
                    items.append(self._model.from_item(item))
                except InvalidValue as error:
                    unreadable.append((item, error))
                if len(items) == limit or len(unreadable) == at_most:
                    break
        return items, unreadable

    def count(self) -> int:
        """How many there are now. As many requests and read units as reading them."""

        def count_all() -> int:
            conditions = [self._condition(each) for each in self._partitions]
            parallel = min(_PARALLEL_REQUESTS, len(conditions) or 1)
            with ReadAhead(parallel, is_wanted=False) as ahead:
                return sum(ahead.all(partial(self._table.count, index=self._index), conditions))

        with self._begun() as run:
            total: int = run(count_all)
            return total

    @contextmanager
    def _begun(self) -> Iterator[_Runner]:
        """The operation of reading it, from its first request to its last, and how to work for it.

        Inside another call, such as a claim, reading is part of that one.
        """
        if self._operation is None:
            yield operator.call
            return
        with Operation(self._operation, self._table) as operation:
            yield operation.run

    # One partition.

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
        """What fetches a partition's pages, one after the other."""
        condition = self._condition(partition)
        full = PageLimit()
        most = full.items
        if limit is not None:
            asked = min(limit, most)
        elif partitions == 1:
            asked = most
        else:
            # Of many shards less than a request gives, as each holds a page.
            asked = max(_FEWEST_OF_A_SHARD, _ITEMS_AHEAD // partitions)

        def request(start: RawItem | None) -> RawPage:
            nonlocal asked
            page: RawPage = run(
                self._table.query,
                condition,
                index=self._index,
                newest_first=self._newest_first,
                limit=asked,
                start=start,
            )
            if limit is not None:
                # What has expired counts towards a request's limit: ask for more each time, so
                # that a long stretch of it costs few requests.
                asked = min(2 * asked, most)
            elif partitions == 1:
                full.saw(page.scanned)
                asked = full.items
            return page

        return request

    # All of them, in order.

    def _merged(
        self, starts: _Starts, run: _Runner, limit: int | None
    ) -> Iterator[tuple[str, RawItem]]:
        """The items with their partition, in order."""
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
            # The readers let go of their first pages when those are used.
            del pages
            if len(readers) == 1:
                yield from readers[0]
            else:
                # Of equal sort keys the lower shard's come first, on every page alike.
                yield from heapq.merge(
                    *readers,
                    key=lambda entry: entry[1][sort_key]["S"],
                    reverse=self._newest_first,
                )

    # Cursors.

    def _checksum(self, content: bytes) -> bytes:
        identity = [
            self._table.name,
            getattr(self._model, "KIND", ""),
            # Not how many: a cursor outlives the growing of the shards.
            self._partitions[:1],
            self._index,
            # If the upper end is the present, it is another one for the next page.
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
            raise InvalidCursor("The cursor is not one that a page of this package gave.") from None
        checksum, content = decoded[:_CHECKSUM_BYTES], decoded[_CHECKSUM_BYTES:]
        # Bits of the last character that say nothing must not make another cursor of it.
        if _text_of(decoded) != cursor or checksum != self._checksum(content):
            raise InvalidCursor(
                "The cursor was altered or belongs to another query (another table, list, range "
                "or order). Start again without one."
            )
        # Shards that were added since are read from their beginning.
        starts: list[RawItem | None] = json.loads(zlib.decompress(content))
        return dict(zip_longest(partitions, starts))


def _text_of(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
