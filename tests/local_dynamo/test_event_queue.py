"""The event queue: leases, retries, dead events and unreadable events."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from quill_models import EventStatus, LeaseLost, Outcome, Quill, WebhookEvent, connect
from quill_models.errors import InvalidValue, PartialWriteError, QuillError, ServerUnreachable
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    botocore_of,
    event,
    is_as_stored,
    on_the_wire,
    race,
    store,
    stored,
)

quill = tables.emptied

SHARDS = 4
# The events of the race. Enough that its workers claim several times.
TOTAL = 60
LONG_AGO = NOON - 10 * 365 * DAY


def keys(events: Any) -> list[str]:
    return [each.event_key for each in events]


def of_status(quill: Quill, status: str) -> list[str]:
    return sorted(keys(quill.webhook_events.list_by_status("hubspot", status)))


def record(quill: Quill, *numbers: int) -> None:
    """Record events that were received one second apart."""
    quill.webhook_events.record_many(
        event(str(number), received_at=NOON - HOUR + number * SECOND) for number in numbers
    )


def record_and_claim(quill: Quill, key: str = "1", **options: Any) -> WebhookEvent:
    quill.webhook_events.record(event(key))
    (claimed,) = quill.webhook_events.claim("hubspot", limit=1, **options)
    return claimed


def make_unreadable(quill: Quill, key: str) -> None:
    """Store an unknown status in an event."""
    pk, sk = event(key).key()
    botocore_of(quill).update_item(
        TableName=quill.settings.table,
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression="SET #status = :parked",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":parked": {"S": "parked"}},
    )


class TestClaim:
    @pytest.mark.usefixtures("quill_clock")
    def test_claim_returns_oldest_first(self, quill: Quill) -> None:
        record(quill, 3, 1, 2, 5, 4)
        assert keys(quill.webhook_events.claim("hubspot", limit=2)) == ["1", "2"]
        assert keys(quill.webhook_events.claim("hubspot", limit=10)) == ["3", "4", "5"]
        assert quill.webhook_events.claim("hubspot") == []

    @pytest.mark.usefixtures("quill_clock")
    def test_claim_stores_lease_and_attempt(self, quill: Quill) -> None:
        claimed = record_and_claim(quill, lease=MINUTE)
        assert (claimed.status, claimed.attempts) == (EventStatus.PROCESSING, 1)
        assert claimed.due_at == NOON + MINUTE
        assert is_as_stored(quill, claimed)
        assert of_status(quill, "processing") == ["1"]
        assert of_status(quill, "pending") == []

    @pytest.mark.usefixtures("quill_clock")
    def test_claim_nothing_due_sends_one_query_per_shard(self, quill: Quill) -> None:
        record_and_claim(quill)
        with on_the_wire(quill) as sent:
            assert quill.webhook_events.claim("hubspot") == []
        assert sent == ["Query"] * SHARDS

    @pytest.mark.usefixtures("quill_clock")
    def test_claim_due_events_sends_one_transaction(self, quill: Quill) -> None:
        record(quill, *range(50))
        with on_the_wire(quill) as sent:
            assert len(quill.webhook_events.claim("hubspot", limit=50)) == 50
        assert Counter(sent) == {"Query": SHARDS, "TransactWriteItems": 1}

    def test_claim_future_event_waits_until_due(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.webhook_events.record(event("1", received_at=NOON + MINUTE))
        assert quill.webhook_events.claim("hubspot") == []
        quill_clock.tick(MINUTE)
        assert keys(quill.webhook_events.claim("hubspot")) == ["1"]

    def test_claim_expired_lease_returns_event_again(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        claimed = record_and_claim(quill, lease=MINUTE)
        quill_clock.tick(MINUTE - SECOND)
        assert quill.webhook_events.claim("hubspot") == []
        quill_clock.tick(SECOND)
        (again,) = quill.webhook_events.claim("hubspot")
        assert again.attempts == 2
        with pytest.raises(LeaseLost, match="lost the lease"):
            quill.webhook_events.complete(claimed)
        quill.webhook_events.complete(again)

    @pytest.mark.usefixtures("quill_clock")
    def test_record_leased_event_returns_duplicate(self, quill: Quill) -> None:
        record_and_claim(quill)
        assert quill.webhook_events.record(event("1")).outcome is Outcome.DUPLICATE
        assert of_status(quill, "processing") == ["1"]

    def test_writes_lost_responses_take_effect_once(
        self, quill: Quill, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        # Due by the system clock, which `behind_proxy` uses.
        quill.webhook_events.record_many(
            event(str(number), received_at=LONG_AGO) for number in range(5)
        )
        proxy.lose("TransactWriteItems", times=2)
        claimed = behind_proxy.webhook_events.claim("hubspot", limit=5)
        assert len(claimed) == 5
        proxy.lose("PutItem")
        behind_proxy.webhook_events.complete(claimed[0])
        proxy.lose("PutItem")
        behind_proxy.webhook_events.fail(claimed[1], "no")
        assert of_status(quill, "processed") == [claimed[0].event_key]
        assert of_status(quill, "failed") == [claimed[1].event_key]

    def test_claim_connection_lost_midway_returns_first_chunk(
        self, quill: Quill, proxy: Proxy
    ) -> None:
        quill.webhook_events.record_many(
            event(str(number), received_at=LONG_AGO) for number in range(102)
        )
        settings = replace(quill.settings, endpoint=proxy.endpoint, deadline=SECOND)
        with connect(settings) as behind_proxy:
            proxy.stop_after("TransactWriteItems", 1)
            claimed = behind_proxy.webhook_events.claim("hubspot", limit=102)
        assert len(claimed) == 100
        with connect(replace(settings, deadline=SECOND / 10)) as behind_proxy:
            with pytest.raises(ServerUnreachable):
                behind_proxy.webhook_events.claim("hubspot", limit=102)
        assert of_status(quill, "processing") == sorted(keys(claimed))

    def test_claim_connection_lost_before_write_raises(self, quill: Quill, proxy: Proxy) -> None:
        quill.webhook_events.record(event("1", received_at=LONG_AGO))
        settings = replace(quill.settings, endpoint=proxy.endpoint, deadline=SECOND / 2)
        with connect(settings) as behind_proxy:
            proxy.stop_after("PutItem", 0)
            with pytest.raises(QuillError) as raised:
                behind_proxy.webhook_events.claim("hubspot")
        assert not isinstance(raised.value, PartialWriteError)

    @pytest.mark.usefixtures("quill_clock")
    def test_claim_unreadable_event_is_logged_once_and_skipped(
        self, quill: Quill, caplog: pytest.LogCaptureFixture
    ) -> None:
        record(quill, 1, 2, 3)
        make_unreadable(quill, "1")
        key = event("1").key()
        assert keys(quill.webhook_events.claim("hubspot", limit=1)) == ["2"]
        assert keys(quill.webhook_events.claim("hubspot", limit=5)) == ["3"]
        # The second claim does not log it again.
        (warning,) = [each for each in caplog.records if each.name == "quill_models.events"]
        assert warning.levelname == "WARNING"
        assert warning.getMessage() == "Event hubspot/1 is unreadable, so claims skip it"
        assert vars(warning)["quill_event_key"] == "1"
        with pytest.raises(
            InvalidValue, match="hubspot can be claimed: the only due event"
        ) as raised:
            quill.webhook_events.claim("hubspot")
        assert f"quill.store.delete({key!r})" in str(raised.value)
        item = stored(quill, key)
        assert item is not None
        assert item["status"] == {"S": "parked"}
        store(quill, {**item, "status": {"S": "pending"}})
        assert keys(quill.webhook_events.claim("hubspot")) == ["1"]

    @pytest.mark.usefixtures("quill_clock")
    def test_claim_page_of_unreadable_events_is_skipped(self, quill: Quill) -> None:
        record(quill, *range(60))
        for number in range(59):
            make_unreadable(quill, str(number))
        assert keys(quill.webhook_events.claim("hubspot", limit=1)) == ["59"]
        with pytest.raises(InvalidValue, match="all 59 due events"):
            quill.webhook_events.claim("hubspot")

    @pytest.mark.usefixtures("quill_clock")
    def test_claim_100_unreadable_events_raises_invalid_value(self, quill: Quill) -> None:
        record(quill, *range(101))
        for number in range(100):
            make_unreadable(quill, str(number))
        with pytest.raises(InvalidValue, match="the 100 longest due"):
            quill.webhook_events.claim("hubspot")
        quill.store.delete(event("0").key())
        assert keys(quill.webhook_events.claim("hubspot")) == ["100"]

    @pytest.mark.parametrize("options", [{"limit": 0}, {"lease": timedelta(0)}], ids=str)
    @pytest.mark.usefixtures("quill_clock")
    def test_claim_zero_limit_or_lease_raises_invalid_value(
        self, quill: Quill, options: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidValue):
            quill.webhook_events.claim("hubspot", **options)


class TestOutcomes:
    @pytest.mark.usefixtures("quill_clock")
    def test_complete_stores_processed(self, quill: Quill) -> None:
        claimed = record_and_claim(quill)
        done = quill.webhook_events.complete(claimed)
        assert done.status is claimed.status is EventStatus.PROCESSED
        assert (done.due_at, done.lease_id, done.attempts) == (None, None, 1)
        assert is_as_stored(quill, done)
        assert of_status(quill, "processed") == ["1"]
        with pytest.raises(LeaseLost, match="not leased"):
            quill.webhook_events.complete(claimed)

    def test_fail_retries_after_backoff(self, quill: Quill, quill_clock: FrozenClock) -> None:
        claimed = record_and_claim(quill)
        failed = quill.webhook_events.fail(claimed, ValueError("odd"), retry_in=MINUTE)
        assert (failed.status, failed.last_error) == (EventStatus.FAILED, "ValueError: odd")
        assert quill.webhook_events.claim("hubspot") == []
        quill_clock.tick(MINUTE)
        (again,) = quill.webhook_events.claim("hubspot")
        assert (again.attempts, again.last_error) == (2, "ValueError: odd")
        assert quill.webhook_events.complete(again).last_error is None

    def test_fail_backoff_doubles(self, quill: Quill, quill_clock: FrozenClock) -> None:
        quill.webhook_events.record(event("1"))
        backoffs = []
        for _ in range(4):
            (claimed,) = quill.webhook_events.claim("hubspot")
            failed = quill.webhook_events.fail(claimed, "no")
            assert failed.due_at is not None
            backoffs.append((failed.due_at - quill_clock()).total_seconds())
            quill_clock.move_to(failed.due_at)
        for backoff, longest in zip(backoffs, (10, 20, 40, 80), strict=True):
            assert longest / 2 <= backoff <= longest

    def test_fail_max_attempts_marks_dead(self, quill: Quill, quill_clock: FrozenClock) -> None:
        with connect(replace(quill.settings, max_attempts=3), clock=quill_clock) as clocked:
            clocked.webhook_events.record(event("1"))
            for attempt in (1, 2, 3):
                (claimed,) = clocked.webhook_events.claim("hubspot")
                clocked.webhook_events.fail(claimed, f"no {attempt}", retry_in=timedelta(0))
            dead = clocked.webhook_events.get("hubspot", "1")
            assert dead is not None
            assert (dead.status, dead.last_error) == (EventStatus.DEAD, "no 3")
            assert clocked.webhook_events.claim("hubspot") == []
            assert of_status(clocked, "dead") == ["1"]

    def test_claim_expired_last_attempt_marks_dead(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with connect(replace(quill.settings, max_attempts=2), clock=quill_clock) as clocked:
            record_and_claim(clocked, lease=MINUTE)
            quill_clock.tick(MINUTE)
            (claimed,) = clocked.webhook_events.claim("hubspot", lease=MINUTE)
            quill_clock.tick(MINUTE)
            assert clocked.webhook_events.claim("hubspot") == []
            dead = clocked.webhook_events.get("hubspot", "1")
            assert dead is not None
            assert dead.status is EventStatus.DEAD
            assert dead.last_error == "the lease of attempt 2 expired without an outcome"
            with pytest.raises(LeaseLost, match="now dead"):
                clocked.webhook_events.complete(claimed)

    @pytest.mark.usefixtures("quill_clock")
    def test_claim_lowered_max_attempts_marks_dead(self, quill: Quill) -> None:
        quill.webhook_events.fail(record_and_claim(quill), "no", retry_in=timedelta(0))
        fewer = replace(quill.settings, max_attempts=1)
        with connect(fewer, clock=quill._table.clock) as lowered:
            assert lowered.webhook_events.claim("hubspot") == []
        dead = quill.webhook_events.get("hubspot", "1")
        assert dead is not None
        assert (dead.status, dead.last_error) == (EventStatus.DEAD, "no")

    def test_fail_backoff_beyond_retention_extends_ttl(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        settings = replace(quill.settings, webhook_retention=DAY)
        with connect(settings, clock=quill_clock) as clocked:
            failed = clocked.webhook_events.fail(record_and_claim(clocked), "no", retry_in=3 * DAY)
            assert failed.ttl == NOON + 4 * DAY
            quill_clock.tick(3 * DAY)
            (claimed,) = clocked.webhook_events.claim("hubspot", lease=3 * DAY)
            quill_clock.tick(2 * DAY)
            assert clocked.webhook_events.complete(claimed).ttl == quill_clock() + DAY

    def test_replay_dead_event_restarts_attempts(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        with connect(replace(quill.settings, max_attempts=1), clock=quill_clock) as clocked:
            dead = clocked.webhook_events.fail(record_and_claim(clocked), "no")
            assert dead.status is EventStatus.DEAD
            quill_clock.tick(DAY)
            replayed = clocked.webhook_events.replay(dead)
            assert (replayed.status, replayed.attempts) == (EventStatus.PENDING, 0)
            assert replayed.last_error == "no"
            (claimed,) = clocked.webhook_events.claim("hubspot")
            clocked.webhook_events.complete(claimed)
            with pytest.raises(InvalidValue, match="Replay only failed and dead"):
                clocked.webhook_events.replay(dead)

    def test_renew_extends_lease(self, quill: Quill, quill_clock: FrozenClock) -> None:
        claimed = record_and_claim(quill, lease=MINUTE)
        quill_clock.tick(50 * SECOND)
        quill.webhook_events.renew(claimed, lease=MINUTE)
        quill_clock.tick(50 * SECOND)
        assert quill.webhook_events.claim("hubspot") == []
        quill.webhook_events.complete(claimed)

    @pytest.mark.usefixtures("quill_clock")
    def test_release_returns_event_without_attempt(self, quill: Quill) -> None:
        record(quill, 1, 2, 3)
        first, _ = quill.webhook_events.claim("hubspot", limit=2)
        released = quill.webhook_events.release(first)
        assert (released.status, released.attempts) == (EventStatus.PENDING, 0)
        assert keys(quill.webhook_events.claim("hubspot")) == ["1", "3"]

    @pytest.mark.parametrize("call", ["complete", "release", "renew"])
    @pytest.mark.usefixtures("quill_clock")
    def test_write_unleased_event_raises_lease_lost(self, quill: Quill, call: str) -> None:
        quill.webhook_events.record(event("1"))
        found = quill.webhook_events.get("hubspot", "1")
        with pytest.raises(LeaseLost, match="Claim it first"):
            getattr(quill.webhook_events, call)(found)

    def test_complete_expired_event_raises_lease_lost(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        claimed = record_and_claim(quill)
        quill_clock.tick(31 * DAY)
        with pytest.raises(LeaseLost, match="has expired"):
            quill.webhook_events.complete(claimed)

    @pytest.mark.usefixtures("quill_clock")
    def test_fail_invalid_or_empty_error_is_sanitized(self, quill: Quill) -> None:
        failed = quill.webhook_events.fail(record_and_claim(quill), "\ud800" + "x" * 5000)
        assert failed.last_error is not None
        assert len(failed.last_error) == 1000
        failed = quill.webhook_events.fail(record_and_claim(quill, "2"), "")
        assert failed.last_error == "no message"


def work(settings: Any, limit: int) -> list[str]:
    """Claim and complete events until none is due. Returns the completed keys."""
    completed: list[str] = []
    with connect(settings) as quill:
        while claimed := quill.webhook_events.claim("hubspot", limit=limit):
            for each in claimed:
                quill.webhook_events.complete(each)
                completed.append(each.event_key)
    return completed


def test_claim_concurrent_workers_process_each_event_once(quill: Quill) -> None:
    quill.webhook_events.record_many(event(str(n), received_at=LONG_AGO) for n in range(TOTAL))
    completed = race(work, [(quill.settings, limit) for limit in (1, 5, 20)])
    assert sorted(key for keys_of_worker in completed for key in keys_of_worker) == sorted(
        str(n) for n in range(TOTAL)
    )
    assert of_status(quill, "processed") == sorted(str(n) for n in range(TOTAL))
