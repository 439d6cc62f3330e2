"""Lists: pages, cursors, counts and their requests."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from quill_models import Interaction, Query, Quill, connect
from quill_models.errors import InvalidCursor
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    NOON,
    SECOND,
    event,
    interaction,
    on_the_wire,
)

Listing = Callable[[Quill], Query[Any]]

ITEMS = 23

quill = tables.emptied


def by_agent(quill: Quill) -> Query[Any]:
    return quill.interactions.list_by_agent("ada")


def by_agent_newest(quill: Quill) -> Query[Any]:
    return quill.interactions.list_by_agent("ada", newest_first=True)


def by_day(quill: Quill) -> Query[Any]:
    return quill.interactions.list_by_day(NOON.date())


def by_day_newest(quill: Quill) -> Query[Any]:
    return quill.interactions.list_by_day(NOON.date(), newest_first=True)


LISTINGS: list[Listing] = [by_agent, by_agent_newest, by_day, by_day_newest]
listings = pytest.mark.parametrize("listing", LISTINGS)


def fill(quill: Quill, items: int = ITEMS) -> None:
    quill.interactions.record_many(
        interaction(f"{number:03d}", agent_id="ada", started_at=NOON + (number // 2) * SECOND)
        for number in range(items)
    )


def ids(items: Any) -> list[str]:
    return [item.interaction_id for item in items]


def paged(query: Query[Any], limits: list[int]) -> list[list[str]]:
    """Return the ids of each page. The page sizes repeat ``limits``."""
    pages, cursor, turn = [], None, 0
    while True:
        page = query.page(limits[turn % len(limits)], cursor)
        pages.append(ids(page.items))
        cursor, turn = page.cursor, turn + 1
        if cursor is None:
            return pages
        assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)


@listings
class TestPages:
    def test_query_iteration_pages_first_and_count_agree(
        self, quill: Quill, listing: Listing
    ) -> None:
        fill(quill)
        query = listing(quill)
        everything = ids(query)
        assert len(everything) == query.count() == ITEMS
        assert sorted(everything, reverse="newest" in listing.__name__) == everything
        first = query.first()
        assert ids([first]) == everything[:1]

        @given(limits=st.lists(st.integers(1, ITEMS + 2), min_size=1, max_size=4))
        @examples(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        def any_limits(limits: list[int]) -> None:
            pages = paged(query, limits)
            assert [each for page in pages for each in page] == everything
            wanted = [limits[turn % len(limits)] for turn in range(len(pages))]
            # Only the last page may be short, and no page is empty.
            assert [len(page) for page in pages[:-1]] == wanted[:-1]
            assert 1 <= len(pages[-1]) <= wanted[-1]

        any_limits()

    def test_query_empty_list_returns_nothing(self, quill: Quill, listing: Listing) -> None:
        query = listing(quill)
        assert (list(query), query.first(), query.count()) == ([], None, 0)
        page = query.page()
        assert (page.items, page.cursor) == ([], None)

    def test_page_with_expired_items_is_full(
        self, quill: Quill, quill_clock: FrozenClock, listing: Listing
    ) -> None:
        newest = "newest" in listing.__name__
        sharded = "day" in listing.__name__
        old = [
            event(f"old{n:02d}", occurred_at=NOON + n * SECOND, received_at=NOON + n * SECOND)
            for n in range(30)
        ]
        quill.webhook_events.record_many(old)
        quill_clock.tick(HOUR)
        new = [
            event(f"new{n}", occurred_at=NOON + at * SECOND, received_at=NOON + at * SECOND)
            for n, at in enumerate([-1, 5, 15, 28, 40])
        ]
        quill.webhook_events.record_many(new)
        quill_clock.tick(30 * DAY - HOUR)
        events = quill.webhook_events
        query = (
            events.list_by_status("hubspot", "pending", newest_first=newest)
            if sharded
            else events.list_by_object("hubspot", "contact", "77", newest_first=newest)
        )
        expected = [f"new{n}" for n in range(5)]
        if newest:
            expected.reverse()
        assert [item.event_key for item in query] == expected
        assert query.count() == 5
        first = query.first()
        assert first is not None
        assert first.event_key == expected[0]
        for limit in (1, 2, 4, 5, 6):
            page = query.page(limit)
            assert [item.event_key for item in page.items] == expected[:limit]
            if limit >= 5:
                assert page.cursor is None
            else:
                rest = query.page(10, page.cursor)
                assert [item.event_key for item in rest.items] == expected[limit:]

    def test_page_cursor_of_deleted_item_continues(self, quill: Quill, listing: Listing) -> None:
        fill(quill, 10)
        everything = ids(listing(quill))
        page = listing(quill).page(4)
        quill.interactions.delete(everything[3])
        quill.interactions.delete(everything[4])
        rest = listing(quill).page(10, page.cursor)
        assert ids(rest.items) == everything[5:]

    def test_page_items_added_after_cursor_are_returned(
        self, quill: Quill, listing: Listing
    ) -> None:
        fill(quill, 10)
        page = listing(quill).page(4)
        step = -HOUR if "newest" in listing.__name__ else HOUR
        quill.interactions.record(interaction("late", agent_id="ada", started_at=NOON + step))
        assert ids(listing(quill).page(10, page.cursor).items)[-1] == "late"

    def test_page_cursor_continues_in_another_process(self, quill: Quill, listing: Listing) -> None:
        fill(quill, 5)
        page = listing(quill).page(2)
        with connect(quill.settings) as other:
            rest = listing(other).page(cursor=page.cursor)
        assert ids([*page.items, *rest.items]) == ids(listing(quill))

    def test_page_cursor_continues_after_shards_grow(self, quill: Quill, listing: Listing) -> None:
        fill(quill, 10)
        everything = ids(listing(quill))
        page = listing(quill).page(4)
        quill.schema.grow_shards(8)
        assert ids(listing(quill)) == everything
        assert ids(listing(quill).page(10, page.cursor).items) == everything[4:]


class TestCursors:
    def test_page_cursor_changed_last_character_raises(self, quill: Quill) -> None:
        # Some bits of it may be unused.
        fill(quill, 12)
        for limit in range(1, 10):
            cursor = by_agent(quill).page(limit).cursor
            assert cursor is not None
            for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
                if other != cursor[-1]:
                    with pytest.raises(InvalidCursor):
                        by_agent(quill).page(cursor=cursor[:-1] + other)


class TestOnTheWire:
    def test_query_each_call_costs_one_request_per_shard(self, quill: Quill) -> None:
        fill(quill)
        shards = quill._table.shards
        assert shards > 1
        for query, requests in ((by_agent(quill), 1), (by_day(quill), shards)):
            for read in (list, Query.first, Query.count, Query.page):
                with on_the_wire(quill) as sent:
                    found: Any = read(query)
                assert found
                assert sent == ["Query"] * requests

    def test_page_costs_one_request(self, quill: Quill) -> None:
        fill(quill)
        with on_the_wire(quill) as sent:
            assert len(paged(by_agent(quill), [5])) == 5
        assert sent == ["Query"] * 5

    def test_query_over_a_megabyte_is_read_on_use(self, quill: Quill) -> None:
        quill.interactions.record_many(
            interaction(f"{n:02d}", agent_id="ada", subject="x" * 300_000) for n in range(10)
        )
        with on_the_wire(quill) as sent:
            iterator = iter(by_agent(quill))
            assert ids([next(iterator)]) == ["00"]
            assert len(sent) == 1
            assert len(list(iterator)) == 9
        assert 3 <= len(sent) <= 4
        assert ids(by_day(quill)) == [f"{n:02d}" for n in range(10)]
        assert by_day(quill).count() == 10
        assert ids(by_agent(quill).page(10).items) == [f"{n:02d}" for n in range(10)]


class TestReadingAhead:
    @pytest.fixture
    def long_list(self, shared: Quill) -> Iterator[Query[Interaction]]:
        shared.interactions.put_many(
            interaction(f"{number:03d}", agent_id="long", subject="x" * 100_000)
            for number in range(25)
        )
        yield shared.interactions.list_by_agent("long")
        for number in range(25):
            shared.interactions.delete(f"{number:03d}")

    def test_query_stopped_at_once_costs_one_page(
        self, shared: Quill, long_list: Query[Interaction]
    ) -> None:
        with on_the_wire(shared) as sent:
            reading = iter(long_list)
            assert next(reading).interaction_id == "000"
            reading.close()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            time.sleep(0.5)
        assert sent == ["Query"]

    def test_query_many_shards_request_part_of_a_page(self, shared: Quill) -> None:
        shared.webhook_events.record_many(event(str(number)) for number in range(400))
        with on_the_wire(shared) as sent:
            found = [
                each.event_key
                for each in shared.webhook_events.list_by_status("hubspot", "pending")
            ]
        assert sorted(found) == sorted(str(number) for number in range(400))
        assert len(sent) == len(shared._table.shards_to_read)
