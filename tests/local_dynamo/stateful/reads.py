"""Reads as data, to execute on a `Quill` and on the model of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from quill_models import Query, Quill
from quill_models.models import QuillModel
from tests.local_dynamo.stateful.calls import row_of
from tests.local_dynamo.stateful.model import Row, TableModel

__all__ = ["Listing", "Lookup", "Paging", "Read", "in_order", "is_between", "row_or_none"]


def row_or_none(model: QuillModel | None) -> Row | None:
    """Convert a result of a lookup to a row."""
    return None if model is None else row_of(model)


def is_between(instant: datetime, since: datetime | None, until: datetime | None) -> bool:
    """Return whether an instant is in the range from ``since`` to before ``until``."""
    return (since is None or since <= instant) and (until is None or instant < until)


@dataclass(frozen=True)
class Lookup:
    """A read with one result.

    Attributes:
        text: The call, as shown in a failure.
        execute: Reads from a `Quill`.
        expect: Reads from the model.
    """

    text: str
    execute: Callable[[Quill], Any]
    expect: Callable[[TableModel, datetime], Any]

    def check(self, quill: Quill, table: TableModel, now: datetime) -> None:
        """Compare the results."""
        assert self.execute(quill) == self.expect(table, now), self

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Listing:
    """A read of a list.

    Attributes:
        text: The call, as shown in a failure.
        execute: Returns the query of a `Quill`.
        collection: The name of the collection.
        includes: Returns whether the list includes a row.
        order: The sort key. Rows with equal keys may come in any order.
        newest_first: Whether the order is descending.
    """

    text: str
    execute: Callable[[Quill], Query[Any]]
    collection: str
    includes: Callable[[Row], bool]
    order: Callable[[Row], Any]
    newest_first: bool = False

    def __repr__(self) -> str:
        return self.text

    def expect(self, table: TableModel, now: datetime) -> list[Row]:
        """Return the rows of the model, sorted."""
        rows = [row for row in table[self.collection].live(now).values() if self.includes(row)]
        return sorted(rows, key=self.order, reverse=self.newest_first)

    def check(self, quill: Quill, table: TableModel, now: datetime) -> None:
        """Compare the complete list."""
        self._compare([row_of(model) for model in self.execute(quill)], table, now)

    def check_each_way(self, quill: Quill, table: TableModel, now: datetime, limit: int) -> None:
        """Compare the list read page by page, its first item and its count."""
        rows = self._page_by_page(quill, limit)
        expected = self._compare(rows, table, now)
        query = self.execute(quill)
        first = query.first()
        if expected:
            assert first is not None, self
            assert row_of(first) in expected[0], self
        else:
            assert first is None, self
        assert query.count() == len(rows), self

    def _compare(self, rows: Sequence[Row], table: TableModel, now: datetime) -> list[list[Row]]:
        expected = in_order(self.expect(table, now), self.order)
        assert in_order(rows, self.order) == expected, self
        return expected

    def _page_by_page(self, quill: Quill, limit: int) -> list[Row]:
        rows: list[Row] = []
        paging = Paging(self, [])
        while not paging.ended:
            rows += paging.read_page(quill, limit)
        return rows


class Paging:
    """A list that is read page by page while clients write.

    Attributes:
        listing: The list.
        unchanged: The rows that were in the list, unchanged, since the first page.
        seen: The rows of all pages so far.
        ended: Whether the last page was read.
    """

    def __init__(self, listing: Listing, rows: Sequence[Row]) -> None:
        self.listing = listing
        self.unchanged = list(rows)
        self.seen: list[Row] = []
        self.ended = False
        self._cursor: str | None = None

    def note_rows(self, rows: Sequence[Row]) -> None:
        """Keep as unchanged only the rows that are in the list now."""
        self.unchanged = [row for row in self.unchanged if row in rows]

    def read_page(self, quill: Quill, limit: int) -> list[Row]:
        """Read the next page."""
        page = self.listing.execute(quill).page(limit, self._cursor)
        rows = [row_of(model) for model in page.items]
        self.seen += rows
        self._cursor = page.cursor
        self.ended = page.cursor is None
        assert len(rows) == limit or (self.ended and len(rows) < limit), self.listing
        return rows

    def check(self) -> None:
        """Check that each unchanged row was read exactly once, in order."""
        order = self.listing.order
        seen = [row for row in self.seen if row in self.unchanged]
        assert in_order(seen, order) == in_order(self.unchanged, order), self.listing


Read = Lookup | Listing


def in_order(rows: Sequence[Row], order: Callable[[Row], Any]) -> list[list[Row]]:
    """Group the rows by sort key, so that the order within a group is ignored."""
    return [sorted(group, key=repr) for _, group in groupby(rows, order)]
