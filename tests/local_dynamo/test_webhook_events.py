"""Webhook events: recorded once, by whomever, through whatever goes wrong."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from freezegun import freeze_time

from quill_models import Outcome, PartialWriteError, Quill, Settings, WebhookEvent, connect
from quill_models.testing import FrozenClock
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    NOON,
    SECOND,
    event,
    is_as_stored,
    on_the_wire,
    stored,
)

CREATED, DUPLICATE, CONFLICT = Outcome.CREATED, Outcome.DUPLICATE, Outcome.CONFLICT


def keys(events: Any) -> list[str]:
    return [each.event_key for each in events]


def pending(quill: Quill) -> list[str]:
    return keys(quill.webhook_events.list_by_status("hubspot", "pending"))


class TestRecord:
    @pytest.mark.usefixtures("quill_clock")
    def test_record_new_event_returns_created(self, quill: Quill) -> None:
        result = quill.webhook_events.record(event())
        assert (result.outcome, result.created) == (CREATED, True)
        assert result.item == event()
        assert (result.item.created_at, result.item.ttl) == (NOON, NOON + 30 * DAY)
        assert is_as_stored(quill, result.item)
        assert quill.webhook_events.get("hubspot", "e1") == event()

    def test_record_duplicate_keeps_the_first_event(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.webhook_events.record(event())
        quill_clock.tick(SECOND)
        again = event(received_at=NOON + SECOND, payload={"eventId": 1, "value": "a"})
        with on_the_wire(quill) as sent:
            result = quill.webhook_events.record(again)
        assert (result.outcome, result.created) == (DUPLICATE, False)
        assert result.item == event()
        assert is_as_stored(quill, result.item)
        assert sent == ["PutItem"]

    def test_record_other_digest_returns_conflict(self, quill: Quill) -> None:
        quill.webhook_events.record(event(digest="1"))
        same = event(digest="1", payload={"attemptNumber": 2})
        assert quill.webhook_events.record(same).outcome is DUPLICATE
        other = quill.webhook_events.record(event(digest="2"))
        assert (other.outcome, other.item) == (CONFLICT, event(digest="1"))
        assert quill.webhook_events.get("hubspot", "e1") == event(digest="1")


class TestExpiry:
    def test_record_expired_event_is_created_again(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        first = quill.webhook_events.record(event()).item
        quill.webhook_events.record(event("processed", status="processed"))
        quill_clock.tick(30 * DAY - SECOND)
        assert quill.webhook_events.record(event()).outcome is DUPLICATE
        quill_clock.tick(SECOND)
        assert stored(quill, first.key()) is not None
        events = quill.webhook_events
        assert events.get("hubspot", "e1") is None
        assert pending(quill) == []
        assert keys(events.list_by_status("hubspot", "processed")) == []
        by_object = events.list_by_object("hubspot", "contact", "77")
        assert (keys(by_object), by_object.first(), by_object.count()) == ([], None, 0)

        again = events.record(event(payload={"other": 1}))
        assert (again.outcome, again.item.created_at) == (CREATED, NOON + 30 * DAY)
        assert is_as_stored(quill, again.item)
        assert pending(quill) == ["e1"]
        many = events.record_many([event(), event("processed"), event("processed")])
        assert [result.outcome for result in many] == [CONFLICT, CREATED, DUPLICATE]

    def test_record_retention_is_that_of_the_settings(
        self, quill_settings: Settings, quill: Quill
    ) -> None:
        with freeze_time(NOON) as frozen:
            for days in (timedelta(days=1), None):
                settings = replace(quill_settings, webhook_retention=days)
                with connect(settings) as other:
                    item = other.webhook_events.record(event(str(days))).item
                assert item.ttl == (None if days is None else NOON + DAY)
            frozen.tick(100 * DAY)
            assert pending(quill) == ["None"]


class TestLists:
    def test_list_work_is_by_due_time_others_by_occurrence(self, quill: Quill) -> None:
        for status in ("pending", "dead"):
            quill.webhook_events.record_many(
                event(
                    f"{status}{number}",
                    status=status,
                    received_at=NOON + number * SECOND,
                    occurred_at=NOON - number * SECOND,
                )
                for number in range(20)
            )
        by_status = quill.webhook_events.list_by_status
        newest: dict[str, Any] = {"newest_first": True}
        expected = [f"pending{number}" for number in range(20)]
        assert keys(by_status("hubspot", "pending")) == expected
        assert keys(by_status("hubspot", "pending", **newest)) == expected[::-1]
        expected = [f"dead{number}" for number in reversed(range(20))]
        assert keys(by_status("hubspot", "dead")) == expected
        assert keys(by_status("hubspot", "dead", **newest)) == expected[::-1]

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_list_events_of_one_moment_has_complete_pages(
        self, quill: Quill, newest_first: bool
    ) -> None:
        """Their order is anything, but always the same."""
        quill.webhook_events.record_many(event(str(number)) for number in range(40))
        lists = quill.webhook_events
        for query in (
            lists.list_by_status("hubspot", "pending", newest_first=newest_first),
            lists.list_by_object("hubspot", "contact", "77", newest_first=newest_first),
        ):
            everything = keys(query)
            assert len(set(everything)) == 40
            for limit in (1, 7, 39):
                found, cursor = [], None
                while True:
                    page = query.page(limit, cursor)
                    found += keys(page.items)
                    cursor = page.cursor
                    if cursor is None:
                        break
                assert found == everything


class TestMany:
    def test_record_many_returns_outcomes_in_input_order(self, quill: Quill) -> None:
        quill.webhook_events.record_many(event(str(n)) for n in range(0, 250, 2))
        given = [event(str(n), **({} if n % 4 else {"digest": "x"})) for n in range(250)]
        results = quill.webhook_events.record_many(given)
        assert keys(result.item for result in results) == [str(n) for n in range(250)]
        expected = [CONFLICT, CREATED, DUPLICATE, CREATED]
        assert [result.outcome for result in results] == (expected * 63)[:250]
        assert all(is_as_stored(quill, result.item) for result in results[::25])

    def test_record_many_repeats_within_one_call(self, quill: Quill) -> None:
        given = [event("a"), event("b"), event("a"), event("a", digest="x"), event("b")]
        results = quill.webhook_events.record_many(given)
        assert [result.outcome for result in results] == [
            CREATED,
            CREATED,
            DUPLICATE,
            CONFLICT,
            DUPLICATE,
        ]
        assert {result.item.digest for result in results} == {event().digest}

    @pytest.mark.parametrize("repeats", [13, 100])
    def test_record_many_one_event_many_times(self, quill: Quill, repeats: int) -> None:
        results = quill.webhook_events.record_many([event()] * repeats)
        assert [result.outcome for result in results] == [CREATED] + [DUPLICATE] * (repeats - 1)

    def test_record_many_large_events_fill_transactions(self, quill: Quill) -> None:
        large = [event(str(n), payload={"text": "x" * 300_000}) for n in range(30)]
        with on_the_wire(quill) as sent:
            results = quill.webhook_events.record_many(large)
        assert {result.outcome for result in results} == {CREATED}
        assert sent.count("TransactWriteItems") == 3


class TestPartialWrites:
    @pytest.fixture
    def impatient(self, quill: Quill, proxy: Proxy) -> Iterator[Quill]:
        """One behind the proxy that soon gives up."""
        settings = replace(quill.settings, endpoint=proxy.endpoint, deadline=SECOND)
        with connect(settings) as connected:
            yield connected

    def given(self, total: int) -> list[WebhookEvent]:
        return [event(f"{number:03d}") for number in range(total)]

    def test_record_many_server_stops_raises_partial_write(
        self, quill: Quill, impatient: Quill, proxy: Proxy
    ) -> None:
        given = self.given(350)
        assert impatient.webhook_events.record(given[150]).created
        proxy.stop_after("TransactWriteItems", 2)
        with pytest.raises(PartialWriteError) as raised:
            impatient.webhook_events.record_many(iter(given))
        error = raised.value
        # The second hundred is a mixture. The response to its second request was lost, so only
        # the duplicate is known.
        assert keys(result.item for result in error.results) == [
            *keys(given[:100]),
            "150",
        ]
        assert keys(error.pending) == [*keys(given[100:150]), *keys(given[151:])]
        assert "350" not in str(error.results)
        again = quill.webhook_events.record_many(error.pending)
        assert {result.outcome for result in again} == {CREATED}
        assert sorted(pending(quill)) == keys(given)

    def test_iter_record_many_error_has_results_not_yielded(
        self, impatient: Quill, proxy: Proxy
    ) -> None:
        given = self.given(450)
        impatient.webhook_events.record(event("first"))
        proxy.stop_after("TransactWriteItems", 1)
        source = iter(given)
        results = impatient.webhook_events.iter_record_many(source)
        told = keys(result.item for result in islice(results, 100))
        with pytest.raises(PartialWriteError) as raised:
            next(results)
        assert told == keys(given[:100])
        assert raised.value.results == []
        # The second hundred was in flight, and more inputs may have been taken.
        assert keys(raised.value.pending)[:100] == keys(given[100:200])
        assert keys(raised.value.pending) + keys(source) == keys(given[100:])

    def test_record_many_response_lost_until_deadline_is_pending(
        self, quill: Quill, impatient: Quill, proxy: Proxy
    ) -> None:
        given = self.given(100)
        impatient.webhook_events.record(event("first"))
        proxy.lose("TransactWriteItems", times=1000)
        with pytest.raises(PartialWriteError) as raised:
            impatient.webhook_events.record_many(given)
        assert keys(raised.value.pending) == keys(given)
        again = quill.webhook_events.record_many(raised.value.pending)
        assert {result.outcome for result in again} == {DUPLICATE}

    def test_record_many_deleted_table_raises_partial_write(self, quill: Quill) -> None:
        given = self.given(250)

        def deleting() -> Any:
            yield from given[:100]
            quill.schema.delete_table()
            yield from given[100:]

        with pytest.raises(PartialWriteError, match="quill schema apply") as raised:
            quill.webhook_events.record_many(deleting())
        assert keys(result.item for result in raised.value.results) == keys(given[:100])
        assert keys(raised.value.pending) == keys(given[100:])
        quill.schema.apply()
        again = quill.webhook_events.record_many(raised.value.pending)
        assert {result.outcome for result in again} == {CREATED}

    def test_record_many_server_stops_at_shards_read_raises_partial_write(
        self, quill: Quill, quill_clock: FrozenClock, proxy: Proxy
    ) -> None:
        given = self.given(250)

        def minutes_pass() -> Any:
            yield from given[:120]
            quill_clock.tick(HOUR)
            proxy.stop_after("GetItem", 0)
            yield from given[120:]

        settings = replace(quill.settings, endpoint=proxy.endpoint, deadline=SECOND)
        with (
            connect(settings, clock=quill_clock) as behind_proxy,
            pytest.raises(PartialWriteError) as raised,
        ):
            behind_proxy.webhook_events.record_many(minutes_pass())
        assert keys(result.item for result in raised.value.results) == keys(given[:100])
        assert keys(raised.value.pending) == keys(given[100:])
