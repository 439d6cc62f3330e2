"""Questions as data, so that the same one can be asked of a `Quill` and of the plain model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from quill_models import Query, Quill
from quill_models.models import QuillModel
from tests.local_dynamo.stateful.calls import row_of
from tests.local_dynamo.stateful.plain import Row, World

__all__ = ["Listing", "Lookup", "Paging", "Question", "found", "in_order", "is_between"]


def found(model: QuillModel | None) -> Row | None:
    """What a lookup found, as the plain model has it."""
    return None if model is None else row_of(model)


def is_between(instant: datetime, since: datetime | None, until: datetime | None) -> bool:
    """Whether an instant is in a range, its beginning included and its end not."""
    return (since is None or since <= instant) and (until is None or instant < until)


@dataclass(frozen=True)
class Lookup:
    """A question with one answer.

    Attributes:
        text: the question.
        ask: asks it of a `Quill`.
        expect: asks it of the plain model.
    """

    text: str
    ask: Callable[[Quill], Any]
    expect: Callable[[World, datetime], Any]

    def check(self, quill: Quill, world: World, now: datetime) -> None:
        """Compare the answers."""
        assert self.ask(quill) == self.expect(world, now), self

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Listing:
    """A list.

    Attributes:
        text: the question.
        ask: asks it of a `Quill`.
        collection: whose rows are in the list.
        wanted: whether a row is.
        order: by what they are sorted; rows that share it come in any order.
        newest_first: whether from the end.
    """

    text: str
    ask: Callable[[Quill], Query[Any]]
    collection: str
    wanted: Callable[[Row], bool]
    order: Callable[[Row], Any]
    newest_first: bool = False

    def __repr__(self) -> str:
        return self.text

    def expect(self, world: World, now: datetime) -> list[Row]:
        """The rows in order, as far as there is one."""
        rows = [row for row in world[self.collection].live(now).values() if self.wanted(row)]
        return sorted(rows, key=self.order, reverse=self.newest_first)

    def check(self, quill: Quill, world: World, now: datetime) -> None:
        """Compare the whole list."""
        self._compare([row_of(model) for model in self.ask(quill)], world, now)

    def check_each_way(self, quill: Quill, world: World, now: datetime, limit: int) -> None:
        """Compare the list page by page, its first item, and how many there are."""
        rows = self._page_by_page(quill, limit)
        expected = self._compare(rows, world, now)
        query = self.ask(quill)
        first = query.first()
        if expected:
            assert first is not None, self
            assert row_of(first) in expected[0], self
        else:
            assert first is None, self
        assert query.count() == len(rows), self

    def _compare(self, rows: Sequence[Row], world: World, now: datetime) -> list[list[Row]]:
        expected = in_order(self.expect(world, now), self.order)
        assert in_order(rows, self.order) == expected, self
        return expected

    def _page_by_page(self, quill: Quill, limit: int) -> list[Row]:
        rows: list[Row] = []
        paging = Paging(self, [])
        while not paging.ended:
            rows += paging.turn(quill, limit)
        return rows


class Paging:
    """A list that is read a page at a time, while others go on writing.

    Attributes:
        listing: the list.
        untouched: what has been in it, the same, since the reading began.
        seen: what came so far.
        ended: whether the last page came.
    """

    def __init__(self, listing: Listing, rows: Sequence[Row]) -> None:
        self.listing = listing
        self.untouched = list(rows)
        self.seen: list[Row] = []
        self.ended = False
        self._cursor: str | None = None

    def touched(self, rows: Sequence[Row]) -> None:
        """Take note of what is in the list now."""
        self.untouched = [row for row in self.untouched if row in rows]

    def turn(self, quill: Quill, limit: int) -> list[Row]:
        """Read the next page."""
        page = self.listing.ask(quill).page(limit, self._cursor)
        rows = [row_of(model) for model in page.items]
        self.seen += rows
        self._cursor = page.cursor
        self.ended = page.cursor is None
        assert len(rows) == limit or (self.ended and len(rows) < limit), self.listing
        return rows

    def check(self) -> None:
        """What stayed as it was came once, and in order."""
        order = self.listing.order
        seen = [row for row in self.seen if row in self.untouched]
        assert in_order(seen, order) == in_order(self.untouched, order), self.listing


Question = Lookup | Listing


def in_order(rows: Sequence[Row], order: Callable[[Row], Any]) -> list[list[Row]]:
    """The rows in groups that share their place, so that their order inside one does not count."""
    return [sorted(group, key=repr) for _, group in groupby(rows, order)]
