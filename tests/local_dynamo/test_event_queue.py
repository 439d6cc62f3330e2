"""Work on webhook events: held by one worker at a time, tried again, and given up in the end."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from quill_models import EventStatus, LeaseLost, Outcome, Quill, WebhookEvent, connect
from quill_models.errors import InvalidValue, PartialWriteError, QuillError, ServerUnreachable
from quill_models.testing import FrozenClock
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    event,
    is_as_stored,
    on_the_wire,
    race,
    store,
    stored,
)

SHARDS = 4


def keys(events: Any) -> list[str]:
    return [each.event_key for each in events]


def of_status(quill: Quill, status: str) -> list[str]:
    return sorted(keys(quill.webhook_events.list_by_status("hubspot", status)))


def recorded(quill: Quill, *numbers: int) -> None:
    """Events that came in one after the other."""
    quill.webhook_events.record_many(
        event(str(number), received_at=NOON - HOUR + number * SECOND) for number in numbers
    )


def claimed(quill: Quill, key: str = "1", **options: Any) -> WebhookEvent:
    quill.webhook_events.record(event(key))
    (held,) = quill.webhook_events.claim("hubspot", limit=1, **options)
    return held


def spoil(quill: Quill, key: str) -> None:
    """Make of an event one that this version cannot read."""
    item = stored(quill, event(key).key())
    assert item is not None
    store(quill, {**item, "status": {"S": "parked"}})


class TestClaim:
    @pytest.mark.usefixtures("quill_clock")
    def test_the_oldest_first(self, quill: Quill) -> None:
        recorded(quill, 3, 1, 2, 5, 4)
        assert keys(quill.webhook_events.claim("hubspot", limit=2)) == ["1", "2"]
        assert keys(quill.webhook_events.claim("hubspot", limit=10)) == ["3", "4", "5"]
        assert quill.webhook_events.claim("hubspot") == []

    @pytest.mark.usefixtures("quill_clock")
    def test_what_is_held(self, quill: Quill) -> None:
        held = claimed(quill, lease=MINUTE)
        assert (held.status, held.attempts) == (EventStatus.PROCESSING, 1)
        assert held.due_at == NOON + MINUTE
        assert is_as_stored(quill, held)
        assert of_status(quill, "processing") == ["1"]
        assert of_status(quill, "pending") == []

    @pytest.mark.usefixtures("quill_clock")
    def test_nothing_due_costs_one_request_a_shard(self, quill: Quill) -> None:
        claimed(quill)
        with on_the_wire(quill) as sent:
            assert quill.webhook_events.claim("hubspot") == []
        assert sent == ["Query"] * SHARDS

    @pytest.mark.usefixtures("quill_clock")
    def test_some_due_cost_one_transaction_more(self, quill: Quill) -> None:
        recorded(quill, *range(50))
        with on_the_wire(quill) as sent:
            assert len(quill.webhook_events.claim("hubspot", limit=50)) == 50
        assert Counter(sent) == {"Query": SHARDS, "TransactWriteItems": 1}

    def test_what_is_not_due_yet_is_left(self, quill: Quill, quill_clock: FrozenClock) -> None:
        quill.webhook_events.record(event("1", received_at=NOON + MINUTE))
        assert quill.webhook_events.claim("hubspot") == []
        quill_clock.tick(MINUTE)
        assert keys(quill.webhook_events.claim("hubspot")) == ["1"]

    def test_a_dead_workers_events_come_back(self, quill: Quill, quill_clock: FrozenClock) -> None:
        held = claimed(quill, lease=MINUTE)
        quill_clock.tick(MINUTE - SECOND)
        assert quill.webhook_events.claim("hubspot") == []
        quill_clock.tick(SECOND)
        (again,) = quill.webhook_events.claim("hubspot")
        assert again.attempts == 2
        with pytest.raises(LeaseLost, match="lost the lease"):
            quill.webhook_events.complete(held)
        quill.webhook_events.complete(again)

    @pytest.mark.usefixtures("quill_clock")
    def test_a_redelivery_of_what_is_held_is_a_duplicate(self, quill: Quill) -> None:
        claimed(quill)
        assert quill.webhook_events.record(event("1")).outcome is Outcome.DUPLICATE
        assert of_status(quill, "processing") == ["1"]

    def test_a_lost_answer(self, quill: Quill, behind_proxy: Quill, proxy: Proxy) -> None:
        # Received long ago by any clock.
        quill.webhook_events.record_many(
            event(str(number), received_at=NOON - 10 * 365 * DAY) for number in range(5)
        )
        proxy.lose("TransactWriteItems", times=2)
        held = behind_proxy.webhook_events.claim("hubspot", limit=5)
        assert len(held) == 5
        proxy.lose("PutItem")
        behind_proxy.webhook_events.complete(held[0])
        proxy.lose("PutItem")
        behind_proxy.webhook_events.fail(held[1], "no")
        assert of_status(quill, "processed") == [held[0].event_key]
        assert of_status(quill, "failed") == [held[1].event_key]

    def test_what_was_taken_before_the_table_stopped_answering(
        self, quill: Quill, proxy: Proxy
    ) -> None:
        quill.webhook_events.record_many(
            event(str(number), received_at=NOON - 10 * 365 * DAY) for number in range(150)
        )
        settings = replace(quill.settings, endpoint=proxy.endpoint, deadline=SECOND)
        with connect(settings) as behind_proxy:
            proxy.go_away_after("TransactWriteItems", 1)
            held = behind_proxy.webhook_events.claim("hubspot", limit=150)
            assert len(held) == 100
            with pytest.raises(ServerUnreachable):
                behind_proxy.webhook_events.claim("hubspot", limit=150)
        assert of_status(quill, "processing") == sorted(keys(held))

    def test_nothing_was_taken_before_the_table_stopped_answering(
        self, quill: Quill, proxy: Proxy
    ) -> None:
        quill.webhook_events.record(event("1", received_at=NOON - 10 * 365 * DAY))
        settings = replace(quill.settings, endpoint=proxy.endpoint, deadline=SECOND)
        with connect(settings) as behind_proxy:
            proxy.go_away_after("PutItem", 0)
            with pytest.raises(QuillError) as raised:
                behind_proxy.webhook_events.claim("hubspot")
        assert not isinstance(raised.value, PartialWriteError)

    @pytest.mark.usefixtures("quill_clock")
    def test_one_that_cannot_be_read_is_told_of_and_got_past(
        self, quill: Quill, caplog: pytest.LogCaptureFixture
    ) -> None:
        recorded(quill, 1, 2, 3)
        spoil(quill, "1")
        key = event("1").key()
        assert keys(quill.webhook_events.claim("hubspot", limit=1)) == ["2"]
        assert keys(quill.webhook_events.claim("hubspot", limit=5)) == ["3"]
        # Once, and not with each claim.
        (told,) = [each for each in caplog.records if each.name == "quill_models.events"]
        assert told.levelname == "WARNING"
        assert told.getMessage() == "Event hubspot/1 is unreadable, so claims skip it"
        assert vars(told)["quill_event_key"] == "1"
        # It is not forgotten when there is nothing else to do, and stays as it is.
        with pytest.raises(InvalidValue, match="the only due event") as raised:
            quill.webhook_events.claim("hubspot")
        assert f"quill.store.delete({key!r})" in str(raised.value)
        item = stored(quill, key)
        assert item is not None
        assert item["status"] == {"S": "parked"}
        store(quill, {**item, "status": {"S": "pending"}})
        assert keys(quill.webhook_events.claim("hubspot")) == ["1"]

    @pytest.mark.usefixtures("quill_clock")
    def test_more_that_cannot_be_read_than_a_page_holds(self, quill: Quill) -> None:
        recorded(quill, *range(60))
        for number in range(59):
            spoil(quill, str(number))
        assert keys(quill.webhook_events.claim("hubspot", limit=1)) == ["59"]
        with pytest.raises(InvalidValue, match="all 59 due events"):
            quill.webhook_events.claim("hubspot")

    @pytest.mark.usefixtures("quill_clock")
    def test_a_hundred_that_cannot_be_read_are_not_got_past(self, quill: Quill) -> None:
        recorded(quill, *range(101))
        for number in range(100):
            spoil(quill, str(number))
        with pytest.raises(InvalidValue, match="the 100 longest due"):
            quill.webhook_events.claim("hubspot")
        quill.store.delete(event("0").key())
        assert keys(quill.webhook_events.claim("hubspot")) == ["100"]

    @pytest.mark.parametrize("options", [{"limit": 0}, {"lease": timedelta(0)}], ids=str)
    @pytest.mark.usefixtures("quill_clock")
    def test_of_nothing(self, quill: Quill, options: dict[str, Any]) -> None:
        with pytest.raises(InvalidValue):
            quill.webhook_events.claim("hubspot", **options)


class TestOutcomes:
    @pytest.mark.usefixtures("quill_clock")
    def test_complete(self, quill: Quill) -> None:
        held = claimed(quill)
        done = quill.webhook_events.complete(held)
        assert done.status is held.status is EventStatus.PROCESSED
        assert (done.due_at, done.lease_id, done.attempts) == (None, None, 1)
        assert is_as_stored(quill, done)
        assert of_status(quill, "processed") == ["1"]
        with pytest.raises(LeaseLost, match="not leased"):
            quill.webhook_events.complete(held)

    def test_fail_and_try_again(self, quill: Quill, quill_clock: FrozenClock) -> None:
        held = claimed(quill)
        failed = quill.webhook_events.fail(held, ValueError("odd"), retry_in=MINUTE)
        assert (failed.status, failed.last_error) == (EventStatus.FAILED, "ValueError: odd")
        assert quill.webhook_events.claim("hubspot") == []
        quill_clock.tick(MINUTE)
        (again,) = quill.webhook_events.claim("hubspot")
        assert (again.attempts, again.last_error) == (2, "ValueError: odd")
        assert quill.webhook_events.complete(again).last_error is None

    def test_the_pause_grows(self, quill: Quill, quill_clock: FrozenClock) -> None:
        quill.webhook_events.record(event("1"))
        pauses = []
        for _ in range(4):
            (held,) = quill.webhook_events.claim("hubspot")
            failed = quill.webhook_events.fail(held, "no")
            assert failed.due_at is not None
            pauses.append((failed.due_at - quill_clock()).total_seconds())
            quill_clock.move_to(failed.due_at)
        for pause, longest in zip(pauses, (10, 20, 40, 80), strict=True):
            assert longest / 2 <= pause <= longest

    def test_dead_after_so_many_attempts(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with connect(replace(quill.settings, max_attempts=3), clock=quill_clock) as clocked:
            clocked.webhook_events.record(event("1"))
            for attempt in (1, 2, 3):
                (held,) = clocked.webhook_events.claim("hubspot")
                clocked.webhook_events.fail(held, f"no {attempt}", retry_in=timedelta(0))
            dead = clocked.webhook_events.get("hubspot", "1")
            assert dead is not None
            assert (dead.status, dead.last_error) == (EventStatus.DEAD, "no 3")
            assert clocked.webhook_events.claim("hubspot") == []
            assert of_status(clocked, "dead") == ["1"]

    def test_dead_where_every_worker_died(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with connect(replace(quill.settings, max_attempts=2), clock=quill_clock) as clocked:
            claimed(clocked, lease=MINUTE)
            quill_clock.tick(MINUTE)
            (held,) = clocked.webhook_events.claim("hubspot", lease=MINUTE)
            quill_clock.tick(MINUTE)
            assert clocked.webhook_events.claim("hubspot") == []
            dead = clocked.webhook_events.get("hubspot", "1")
            assert dead is not None
            assert dead.status is EventStatus.DEAD
            assert dead.last_error == "the lease of attempt 2 expired without an outcome"
            with pytest.raises(LeaseLost, match="now dead"):
                clocked.webhook_events.complete(held)

    @pytest.mark.usefixtures("quill_clock")
    def test_dead_where_fewer_attempts_are_allowed_by_now(self, quill: Quill) -> None:
        quill.webhook_events.fail(claimed(quill), "no", retry_in=timedelta(0))
        fewer = replace(quill.settings, max_attempts=1)
        with connect(fewer, clock=quill._table.clock) as other:
            assert other.webhook_events.claim("hubspot") == []
        dead = quill.webhook_events.get("hubspot", "1")
        assert dead is not None
        assert (dead.status, dead.last_error) == (EventStatus.DEAD, "no")

    def test_a_pause_longer_than_events_are_remembered(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        settings = replace(quill.settings, webhook_retention=DAY)
        with connect(settings, clock=quill_clock) as clocked:
            failed = clocked.webhook_events.fail(claimed(clocked), "no", retry_in=3 * DAY)
            assert failed.ttl == NOON + 4 * DAY
            quill_clock.tick(3 * DAY)
            (held,) = clocked.webhook_events.claim("hubspot", lease=3 * DAY)
            quill_clock.tick(2 * DAY)
            assert clocked.webhook_events.complete(held).ttl == quill_clock() + DAY

    def test_replay(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with connect(replace(quill.settings, max_attempts=1), clock=quill_clock) as clocked:
            dead = clocked.webhook_events.fail(claimed(clocked), "no")
            assert dead.status is EventStatus.DEAD
            quill_clock.tick(DAY)
            replayed = clocked.webhook_events.replay(dead)
            assert (replayed.status, replayed.attempts) == (EventStatus.PENDING, 0)
            assert replayed.last_error == "no"
            (held,) = clocked.webhook_events.claim("hubspot")
            clocked.webhook_events.complete(held)
            with pytest.raises(InvalidValue, match="Replay only failed and dead"):
                clocked.webhook_events.replay(dead)

    def test_renew(self, quill: Quill, quill_clock: FrozenClock) -> None:
        held = claimed(quill, lease=MINUTE)
        quill_clock.tick(50 * SECOND)
        quill.webhook_events.renew(held, lease=MINUTE)
        quill_clock.tick(50 * SECOND)
        assert quill.webhook_events.claim("hubspot") == []
        quill.webhook_events.complete(held)

    @pytest.mark.usefixtures("quill_clock")
    def test_release(self, quill: Quill) -> None:
        recorded(quill, 1, 2, 3)
        first, _ = quill.webhook_events.claim("hubspot", limit=2)
        released = quill.webhook_events.release(first)
        assert (released.status, released.attempts) == (EventStatus.PENDING, 0)
        assert keys(quill.webhook_events.claim("hubspot")) == ["1", "3"]

    @pytest.mark.parametrize("call", ["complete", "release", "renew"])
    @pytest.mark.usefixtures("quill_clock")
    def test_what_is_not_held(self, quill: Quill, call: str) -> None:
        quill.webhook_events.record(event("1"))
        found = quill.webhook_events.get("hubspot", "1")
        with pytest.raises(LeaseLost, match="Claim it first"):
            getattr(quill.webhook_events, call)(found)

    def test_what_has_expired(self, quill: Quill, quill_clock: FrozenClock) -> None:
        held = claimed(quill)
        quill_clock.tick(31 * DAY)
        with pytest.raises(LeaseLost, match="has expired"):
            quill.webhook_events.complete(held)

    @pytest.mark.usefixtures("quill_clock")
    def test_an_error_that_no_text_can_hold(self, quill: Quill) -> None:
        failed = quill.webhook_events.fail(claimed(quill), "\ud800" + "x" * 5000)
        assert failed.last_error is not None
        assert len(failed.last_error) == 1000
        assert quill.webhook_events.fail(claimed(quill, "2"), "").last_error == "no message"


def work(settings: Any, limit: int) -> list[str]:
    """Claim and complete until nothing is left; what was completed."""
    done: list[str] = []
    with connect(settings) as quill:
        while held := quill.webhook_events.claim("hubspot", limit=limit):
            for each in held:
                quill.webhook_events.complete(each)
                done.append(each.event_key)
    return done


def test_several_workers_never_hold_one_event_together(quill: Quill) -> None:
    past = NOON - 10 * 365 * DAY
    quill.webhook_events.record_many(event(str(n), received_at=past) for n in range(120))
    done = race(work, [(quill.settings, limit) for limit in (1, 5, 10, 20)])
    assert sorted(key for each in done for key in each) == sorted(str(n) for n in range(120))
    assert of_status(quill, "processed") == sorted(str(n) for n in range(120))
