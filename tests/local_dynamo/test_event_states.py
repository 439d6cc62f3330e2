"""Random operations on the event queue, compared with a model after each step.

Two clients, whose clocks may be hours apart, record, claim, renew, complete, fail, release and
replay events. Requests and responses are lost. Only the lease holder of the model can write.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count, cycle
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from quill_models import EventStatus, Increment, LeaseLost, Quill, WebhookEvent
from quill_models.errors import InvalidValue
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.lost_responses import (
    DELIVERED,
    LOST_REQUEST,
    LOST_RESPONSE,
    fates,
    losing,
)
from tests.local_dynamo.support import HOUR, MINUTE, NOON, SECOND, event
from tests.local_dynamo.two_clients import Clients, run_machine, two_clients

pytestmark = pytest.mark.soak

quill = tables.emptied

MAX_ATTEMPTS = 2
LEASES = (MINUTE, HOUR)
CLAIMABLE = {EventStatus.PENDING, EventStatus.PROCESSING, EventStatus.FAILED}
REPLAYABLE = {EventStatus.FAILED, EventStatus.DEAD}

clients = st.integers(0, 1)
keys = st.integers(0, 3).map(str)
# How many leases ago, from the newest.
lease_ages = st.integers(0, 7)


@dataclass
class EventModel:
    """The model of one event."""

    received_at: datetime
    due_at: datetime
    status: EventStatus = EventStatus.PENDING
    attempts: int = 0
    # The number of the current lease. None if the response with the lease was lost.
    lease: int | None = None

    def end_lease(self, status: EventStatus, due_at: datetime | None = None) -> None:
        self.status, self.lease = status, None
        self.due_at = due_at or self.received_at

    def fail(self, due_at: datetime) -> None:
        if self.attempts >= MAX_ATTEMPTS:
            self.end_lease(EventStatus.DEAD)
        else:
            self.end_lease(EventStatus.FAILED, due_at)

    def release(self) -> None:
        self.end_lease(EventStatus.PENDING)
        self.attempts -= 1

    def state(self) -> tuple[Any, ...]:
        is_leased = self.status is EventStatus.PROCESSING
        return self.status, self.attempts, self.due_at, is_leased


def state(event: WebhookEvent) -> tuple[Any, ...]:
    return event.status, event.attempts, event.due_at or event.received_at, bool(event.lease_id)


class Events(RuleBasedStateMachine):
    def __init__(self, connected: Clients) -> None:
        super().__init__()
        self.connected = connected
        for _, clock in connected:
            clock.move_to(NOON)
        # All examples share one table.
        self.source = secrets.token_hex(8)
        self.known: dict[str, EventModel] = {}
        # All leases, by number.
        self.leases: list[tuple[str, Quill, FrozenClock, WebhookEvent]] = []
        self.counted = 0
        self.steps = count()
        self.statuses = cycle(EventStatus)

    def stored(self, key: str) -> WebhookEvent:
        found = self.connected[0][0].webhook_events.get(self.source, key)
        assert found is not None
        return found

    @initialize()
    def first(self) -> None:
        self.record("0", 0)

    @rule(client=clients, by=st.sampled_from([SECOND, MINUTE, HOUR]))
    def advance_clock(self, client: int, by: timedelta) -> None:
        self.connected[client][1].tick(by)

    @rule(key=keys, client=clients)
    def record(self, key: str, client: int) -> None:
        quill, clock = self.connected[client]
        given = event(key, source=self.source, received_at=clock())
        created = quill.webhook_events.record(given).created
        assert created is (key not in self.known)
        if created:
            self.known[key] = EventModel(clock(), clock())

    @rule(client=clients, limit=st.integers(1, 4), lease=st.sampled_from(LEASES), fate=fates)
    def claim(self, client: int, limit: int, lease: timedelta, fate: str) -> None:
        quill, clock = self.connected[client]
        due = {
            key: known
            for key, known in self.known.items()
            if known.status in CLAIMABLE and known.due_at <= clock()
        }
        exhausted = {key for key, known in due.items() if known.attempts >= MAX_ATTEMPTS}
        claimed: list[WebhookEvent] = []
        with losing(quill, fate):
            claimed = quill.webhook_events.claim(self.source, limit, lease)
        numbers = {each.event_key: len(self.leases) + at for at, each in enumerate(claimed)}
        self.leases += [(each.event_key, quill, clock, each) for each in claimed]
        assert set(numbers) <= set(due) - exhausted
        if fate == DELIVERED and not exhausted:
            assert len(claimed) == min(limit, len(due))
            longest = sorted(known.due_at for known in due.values())[: len(claimed)]
            assert sorted(due[key].due_at for key in numbers) == longest
        for key, known in due.items():
            if key in numbers or (
                fate == LOST_RESPONSE and state(self.stored(key)) != known.state()
            ):
                if key in exhausted:
                    known.end_lease(EventStatus.DEAD)
                    continue
                known.status, known.lease = EventStatus.PROCESSING, numbers.get(key)
                known.attempts += 1
                known.due_at = clock() + lease
            elif key in exhausted and self.stored(key).status is EventStatus.DEAD:
                assert fate == DELIVERED
                known.end_lease(EventStatus.DEAD)

    def write(
        self,
        age: int,
        fate: str,
        write: Callable[[Quill, WebhookEvent], object],
        effect: Callable[[EventModel, FrozenClock], object],
    ) -> None:
        """Write as a lease holder. Without the lease, the write must raise and change nothing."""
        number = len(self.leases) - 1 - age % len(self.leases)
        key, quill, clock, claimed = self.leases[number]
        known = self.known[key]
        if known.lease != number:
            before = self.stored(key)
            with pytest.raises(LeaseLost):
                write(quill, claimed)
            assert self.stored(key).write_token == before.write_token
            return
        with losing(quill, fate):
            write(quill, claimed)
        if fate != LOST_REQUEST:
            effect(known, clock)

    @precondition(lambda self: self.leases)
    @rule(age=lease_ages, fate=fates, lease=st.sampled_from(LEASES))
    def renew(self, age: int, fate: str, lease: timedelta) -> None:
        def effect(known: EventModel, clock: FrozenClock) -> None:
            known.due_at = clock() + lease

        self.write(
            age, fate, lambda quill, claimed: quill.webhook_events.renew(claimed, lease), effect
        )

    @precondition(lambda self: self.leases)
    @rule(age=lease_ages, fate=fates)
    def complete(self, age: int, fate: str) -> None:
        self.write(
            age,
            fate,
            lambda quill, claimed: quill.webhook_events.complete(claimed),
            lambda known, _: known.end_lease(EventStatus.PROCESSED),
        )

    @precondition(lambda self: self.leases)
    @rule(age=lease_ages, fate=fates)
    def complete_and_count(self, age: int, fate: str) -> None:
        def write(quill: Quill, claimed: WebhookEvent) -> None:
            with quill.transaction() as tx:
                tx.metrics.add(
                    Increment(
                        "global", self.source, "day", NOON, 1, f"{self.source} {claimed.event_key}"
                    )
                )
                tx.webhook_events.complete(claimed)

        def effect(known: EventModel, _: FrozenClock) -> None:
            known.end_lease(EventStatus.PROCESSED)
            self.counted += 1

        self.write(age, fate, write, effect)

    @precondition(lambda self: self.leases)
    @rule(age=lease_ages, fate=fates, backoff=st.sampled_from([timedelta(0), MINUTE]))
    def fail(self, age: int, fate: str, backoff: timedelta) -> None:
        self.write(
            age,
            fate,
            lambda quill, claimed: quill.webhook_events.fail(claimed, "no", retry_in=backoff),
            lambda known, clock: known.fail(clock() + backoff),
        )

    @precondition(lambda self: self.leases)
    @rule(age=lease_ages, fate=fates)
    def release(self, age: int, fate: str) -> None:
        self.write(
            age,
            fate,
            lambda quill, claimed: quill.webhook_events.release(claimed),
            lambda known, _: known.release(),
        )

    @precondition(lambda self: self.known)
    @rule(client=clients, key=keys, fate=fates)
    def replay(self, client: int, key: str, fate: str) -> None:
        known = self.known.get(key)
        if known is None:
            return
        quill, clock = self.connected[client]
        found = self.stored(key)
        if known.status not in REPLAYABLE:
            with pytest.raises(InvalidValue):
                quill.webhook_events.replay(found)
            return
        with losing(quill, fate):
            quill.webhook_events.replay(found)
        if fate != LOST_REQUEST:
            known.end_lease(EventStatus.PENDING, clock())
            known.attempts = 0

    @invariant()
    def events_match(self) -> None:
        for key, known in self.known.items():
            assert state(self.stored(key)) == known.state()

    @invariant()
    def only_lease_holder_can_write(self) -> None:
        step = next(self.steps)
        for number, (key, quill, _, claimed) in enumerate(self.leases):
            if self.known[key].lease != number:
                write = quill.webhook_events.complete if step % 2 else quill.webhook_events.renew
                with pytest.raises(LeaseLost):
                    write(claimed.copy())

    @invariant()
    def lists_match(self) -> None:
        # One status per step: each list takes a query per shard.
        status = next(self.statuses)
        expected = [key for key, known in self.known.items() if known.status is status]
        listed = self.connected[1][0].webhook_events.list_by_status(self.source, status)
        assert sorted(each.event_key for each in listed) == sorted(expected)

    @invariant()
    def each_event_is_counted_once(self) -> None:
        found = self.connected[0][0].metrics.series("global", self.source, "day").first()
        assert (0 if found is None else found.value) == self.counted


@pytest.fixture
def connected(quill: Quill) -> Iterator[Clients]:
    with two_clients(replace(quill.settings, max_attempts=MAX_ATTEMPTS)) as both:
        yield both


def test_event_queue_random_operations_match_model(connected: Clients, soak: bool) -> None:
    class Connected(Events):
        def __init__(self) -> None:
            super().__init__(connected)

    run_machine(Connected, soak=soak)
