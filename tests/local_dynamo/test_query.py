"""Lists: pages, cursors, counts, and what they cost on the wire."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from quill_models import Agent, Interaction, Metric, Query, Quill, Settings, connect
from quill_models.errors import InvalidCursor, Throttled
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    NOON,
    SECOND,
    botocore_of,
    event,
    interaction,
    on_the_wire,
    wait_until,
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
    """The pages, of these sizes in turn."""
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
    def test_all_ways_agree(self, quill: Quill, listing: Listing) -> None:
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
            # Only the last may be short, and none is empty.
            assert [len(page) for page in pages[:-1]] == wanted[:-1]
            assert 1 <= len(pages[-1]) <= wanted[-1]

        any_limits()

    def test_nothing(self, quill: Quill, listing: Listing) -> None:
        query = listing(quill)
        assert (list(query), query.first(), query.count()) == ([], None, 0)
        page = query.page()
        assert (page.items, page.cursor) == ([], None)

    def test_a_query_can_be_read_again(self, quill: Quill, listing: Listing) -> None:
        query = listing(quill)
        assert query.count() == 0
        fill(quill, 3)
        assert ids(query) == ids(query)
        assert query.count() == 3

    def test_no_page_is_short_because_of_what_expired(
        self, quill: Quill, quill_clock: FrozenClock, listing: Listing
    ) -> None:
        """Events expire; they lie between the interactions only in time, so seen by themselves."""
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

    def test_a_cursor_survives_the_item_it_points_to(self, quill: Quill, listing: Listing) -> None:
        fill(quill, 10)
        everything = ids(listing(quill))
        page = listing(quill).page(4)
        quill.interactions.delete(everything[3])
        quill.interactions.delete(everything[4])
        rest = listing(quill).page(10, page.cursor)
        assert ids(rest.items) == everything[5:]

    def test_what_comes_in_behind_a_cursor_is_not_missed(
        self, quill: Quill, listing: Listing
    ) -> None:
        fill(quill, 10)
        page = listing(quill).page(4)
        step = -HOUR if "newest" in listing.__name__ else HOUR
        quill.interactions.record(interaction("late", agent_id="ada", started_at=NOON + step))
        assert ids(listing(quill).page(10, page.cursor).items)[-1] == "late"

    def test_a_cursor_goes_on_in_another_process(self, quill: Quill, listing: Listing) -> None:
        fill(quill, 5)
        page = listing(quill).page(2)
        with connect(quill.settings) as other:
            rest = listing(other).page(cursor=page.cursor)
        assert ids([*page.items, *rest.items]) == ids(listing(quill))

    def test_a_cursor_outlives_the_growing_of_the_shards(
        self, quill: Quill, listing: Listing
    ) -> None:
        fill(quill, 10)
        everything = ids(listing(quill))
        page = listing(quill).page(4)
        quill.schema.grow_shards(8)
        assert ids(listing(quill)) == everything
        assert ids(listing(quill).page(10, page.cursor).items) == everything[4:]

    def test_a_limit_below_one(self, quill: Quill, listing: Listing) -> None:
        for limit in (0, -1):
            with pytest.raises(ValueError, match="limit"):
                listing(quill).page(limit)


class TestCursors:
    @pytest.mark.parametrize("garbage", ["", "x", "garbage", "a" * 100, "é", "===", "a b", "\n"])
    def test_garbage(self, shared: Quill, garbage: str) -> None:
        for listing in LISTINGS:
            with pytest.raises(InvalidCursor):
                listing(shared).page(cursor=garbage)

    def test_any_change_of_one_character(self, quill: Quill) -> None:
        fill(quill, 5)
        cursor = by_day(quill).page(2).cursor
        assert cursor is not None
        for at, was in enumerate(cursor):
            for other in ("A", "B", "_", "+"):
                changed = cursor[:at] + other + cursor[at + 1 :]
                if other != was:
                    with pytest.raises(InvalidCursor):
                        by_day(quill).page(cursor=changed)
        for changed in (cursor[:-1], cursor + "A", cursor + "=", cursor[1:], cursor.swapcase()):
            with pytest.raises(InvalidCursor):
                by_day(quill).page(cursor=changed)

    def test_the_last_character(self, quill: Quill) -> None:
        """Of whose bits some may count for nothing."""
        fill(quill, 12)
        for limit in range(1, 10):
            cursor = by_agent(quill).page(limit).cursor
            assert cursor is not None
            for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
                if other != cursor[-1]:
                    with pytest.raises(InvalidCursor):
                        by_agent(quill).page(cursor=cursor[:-1] + other)

    def test_of_another_query(self, quill: Quill) -> None:
        fill(quill, 5)
        quill.interactions.record_many(interaction(f"b{n}", agent_id="bea") for n in range(3))
        others: list[Query[Any]] = [
            by_agent_newest(quill),
            by_day(quill),
            by_day_newest(quill),
            quill.interactions.list_by_agent("bea"),
            quill.interactions.list_by_agent("ada", since=NOON),
            quill.interactions.list_by_agent("ada", until=NOON + DAY),
            quill.interactions.list_by_contact("ada"),
        ]
        cursor = by_agent(quill).page(1).cursor
        for other in others:
            with pytest.raises(InvalidCursor):
                other.page(cursor=cursor)

    def test_of_another_table(self, quill: Quill, quill_endpoint: str) -> None:
        fill(quill, 5)
        cursor = by_agent(quill).page(1).cursor
        settings = Settings(endpoint=quill_endpoint, table="another")
        with connect(settings) as other, pytest.raises(InvalidCursor):
            by_agent(other).page(cursor=cursor)


class TestOnTheWire:
    def test_each_list_is_one_request_for_each_shard(self, quill: Quill) -> None:
        fill(quill)
        quill.agents.put(Agent(agent_id="ada", name="Ada", team="north"))
        quill.metrics.put(
            Metric(
                scope="global",
                name="calls",
                grain="hour",
                bucket_start=NOON,
                value=1,
            )
        )
        quill.webhook_events.record_many(
            event(status, status=status) for status in ("pending", "dead")
        )
        with quill.job_runs.start("job", "w"):
            pass
        shards = quill._table.shards
        assert shards > 1
        one: list[Query[Any]] = [
            quill.agents.list_by_team("north"),
            quill.agents.list_by_status("active"),
            quill.interactions.list_by_agent("ada", NOON, NOON + DAY),
            quill.metrics.series("global", "calls", "hour"),
            quill.job_runs.list_by_job("job"),
            quill.webhook_events.list_by_object("hubspot", "contact", "77"),
        ]
        each: list[Query[Any]] = [
            quill.interactions.list_by_day(NOON.date()),
            quill.metrics.across("calls", "hour", NOON),
            quill.job_runs.list_by_status("succeeded"),
            quill.webhook_events.list_by_status("hubspot", "pending"),
            quill.webhook_events.list_by_status("hubspot", "dead"),
        ]
        for query, requests in [(query, 1) for query in one] + [(query, shards) for query in each]:
            for read in (list, Query.first, Query.count, Query.page):
                with on_the_wire(quill) as sent:
                    found: Any = read(query)
                assert found
                assert sent == ["Query"] * requests
        with on_the_wire(quill) as sent:
            assert quill.job_runs.last_success("job") is not None
            assert list(quill.job_runs.stale()) == []
            assert quill.job_runs.get("job", "w") is not None
        assert sent == ["Query", "Query", "GetItem"]

    @pytest.mark.parametrize("status", ["pending", "processing", "failed"])
    def test_a_list_reads_nothing_but_its_own(self, quill: Quill, status: str) -> None:
        quill.webhook_events.record_many(
            event(f"{each}{number}", status=each)
            for each in ("pending", "processing", "processed", "failed", "dead")
            for number in range(5)
        )
        counts: list[tuple[int, int]] = []

        def note(parsed: Any, **_: Any) -> None:
            counts.append((parsed["ScannedCount"], parsed["Count"]))

        client = botocore_of(quill).meta.events
        client.register("after-call.dynamodb.Query", note)
        try:
            found = list(quill.webhook_events.list_by_status("hubspot", status))
        finally:
            client.unregister("after-call.dynamodb.Query", note)
        assert len(found) == 5
        assert [scanned for scanned, _ in counts] == [count for _, count in counts]

    def test_an_empty_range_costs_nothing(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent:
            query = quill.interactions.list_by_agent("ada", since=NOON + DAY, until=NOON)
            assert (list(query), query.count(), query.first()) == ([], 0, None)
        assert sent == []

    def test_no_request_before_it_is_used(self, quill: Quill) -> None:
        fill(quill, 3)
        with on_the_wire(quill) as sent:
            by_agent(quill)
            iterator = iter(by_agent(quill))
            assert sent == []
            next(iterator)
            assert sent == ["Query"]

    def test_pages_are_one_request_each(self, quill: Quill) -> None:
        fill(quill)
        with on_the_wire(quill) as sent:
            assert len(paged(by_agent(quill), [5])) == 5
        assert sent == ["Query"] * 5

    def test_more_than_a_megabyte_is_read_as_it_is_used(self, quill: Quill) -> None:
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
    """Three pages of a megabyte: what is asked for before it is wanted, and what is not."""

    @pytest.fixture
    def long_list(self, shared: Quill) -> Iterator[Query[Interaction]]:
        shared.interactions.put_many(
            interaction(f"{number:03d}", agent_id="long", subject="x" * 100_000)
            for number in range(25)
        )
        yield shared.interactions.list_by_agent("long")
        for number in range(25):
            shared.interactions.delete(f"{number:03d}")

    def test_all_of_it_is_as_many_requests_as_pages(
        self, shared: Quill, long_list: Query[Interaction]
    ) -> None:
        with on_the_wire(shared) as sent:
            found = [each.interaction_id for each in long_list]
        assert found == [f"{number:03d}" for number in range(25)]
        assert sent == ["Query"] * 3

    def test_whoever_stops_at_once_pays_for_one_page(
        self, shared: Quill, long_list: Query[Interaction]
    ) -> None:
        with on_the_wire(shared) as sent:
            reading = iter(long_list)
            assert next(reading).interaction_id == "000"
            reading.close()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            time.sleep(0.5)
        assert sent == ["Query"]

    def test_one_page_is_on_its_way_and_no_more(
        self, shared: Quill, long_list: Query[Interaction]
    ) -> None:
        with on_the_wire(shared) as sent:
            reading = iter(long_list)
            for _ in range(5):
                next(reading)
            wait_until(lambda: len(sent) == 2, within=60)
            time.sleep(0.5)
            assert sent == ["Query"] * 2
            reading.close()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            time.sleep(0.5)
            assert sent == ["Query"] * 2

    def test_an_error_on_the_way_is_the_readers(
        self, shared: Quill, long_list: Query[Interaction], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        query = shared._table.query
        begun = []

        def fails_later(*arguments: Any, **options: Any) -> Any:
            begun.append(1)
            if len(begun) > 1:
                raise Throttled("later")
            return query(*arguments, **options)

        monkeypatch.setattr(shared._table, "query", fails_later)
        read: list[str] = []
        with pytest.raises(Throttled, match="later"):
            read.extend(each.interaction_id for each in long_list)
        # And not before all that came is used.
        assert read == [f"{number:03d}" for number in range(len(read))]
        assert len(read) == 11

    def test_many_shards_hold_a_part_of_a_page_each(self, shared: Quill) -> None:
        shared.webhook_events.record_many(event(str(number)) for number in range(400))
        with on_the_wire(shared) as sent:
            found = [
                each.event_key
                for each in shared.webhook_events.list_by_status("hubspot", "pending")
            ]
        assert sorted(found) == sorted(str(number) for number in range(400))
        assert len(sent) == len(shared._table.shards_to_read)
