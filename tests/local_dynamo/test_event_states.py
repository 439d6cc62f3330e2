"""Events of a queue in the hands of many workers, step by step against a model of them.

Two clients with clocks of their own, which may be hours apart, record, claim, renew, complete,
fail, release and replay in any order; answers and requests get lost. After each step only the
worker that the model knows can write, and the table says what the model says.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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
from tests.local_dynamo.support import HOUR, MINUTE, NOON, SECOND, event
from tests.local_dynamo.test_run_states import fates, losing
from tests.local_dynamo.two_clients import Clients, run_machine, two_clients

pytestmark = pytest.mark.soak

quill = tables.emptied

MOST_ATTEMPTS = 2
LEASES = (MINUTE, HOUR)
TO_WORK_ON = {EventStatus.PENDING, EventStatus.PROCESSING, EventStatus.FAILED}
REPLAYABLE = {EventStatus.FAILED, EventStatus.DEAD}

clients = st.integers(0, 1)
keys = st.integers(0, 3).map(str)
# Counted from the one that was given last.
leases_given = st.integers(0, 7)


@dataclass
class Known:
    """What the model knows of one event."""

    received_at: datetime
    due_at: datetime
    status: EventStatus = EventStatus.PENDING
    attempts: int = 0
    # The number of the lease of whoever works on it; None where nobody knows that he does.
    lease: int | None = None

    def let_go(self, status: EventStatus, due_at: datetime | None = None) -> None:
        self.status, self.lease = status, None
        self.due_at = due_at or self.received_at

    def fail(self, due_at: datetime) -> None:
        if self.attempts >= MOST_ATTEMPTS:
            self.let_go(EventStatus.DEAD)
        else:
            self.let_go(EventStatus.FAILED, due_at)

    def release(self) -> None:
        self.let_go(EventStatus.PENDING)
        self.attempts -= 1

    def told(self) -> tuple[Any, ...]:
        is_held = self.status is EventStatus.PROCESSING
        return self.status, self.attempts, self.due_at, is_held


def told(event: WebhookEvent) -> tuple[Any, ...]:
    return event.status, event.attempts, event.due_at or event.received_at, bool(event.lease_id)


class Events(RuleBasedStateMachine):
    def __init__(self, connected: Clients) -> None:
        super().__init__()
        self.connected = connected
        for _, clock in connected:
            clock.move_to(NOON)
        # The table is the same for all examples.
        self.source = secrets.token_hex(8)
        self.known: dict[str, Known] = {}
        # Every lease that was given, by number.
        self.given: list[tuple[str, Quill, FrozenClock, WebhookEvent]] = []
        self.counted = 0

    def stored(self, key: str) -> WebhookEvent:
        found = self.connected[0][0].webhook_events.get(self.source, key)
        assert found is not None
        return found

    @initialize()
    def first(self) -> None:
        self.record("0", 0)

    @rule(client=clients, by=st.sampled_from([SECOND, MINUTE, HOUR]))
    def time_passes(self, client: int, by: timedelta) -> None:
        self.connected[client][1].tick(by)

    @rule(key=keys, client=clients)
    def record(self, key: str, client: int) -> None:
        quill, clock = self.connected[client]
        given = event(key, source=self.source, received_at=clock())
        created = quill.webhook_events.record(given).created
        assert created is (key not in self.known)
        if created:
            self.known[key] = Known(clock(), clock())

    @rule(client=clients, limit=st.integers(1, 4), lease=st.sampled_from(LEASES), fate=fates)
    def claim(self, client: int, limit: int, lease: timedelta, fate: str) -> None:
        quill, clock = self.connected[client]
        due = {
            key: known
            for key, known in self.known.items()
            if known.status in TO_WORK_ON and known.due_at <= clock()
        }
        tired = {key for key, known in due.items() if known.attempts >= MOST_ATTEMPTS}
        held: list[WebhookEvent] = []
        with losing(quill, fate):
            held = quill.webhook_events.claim(self.source, limit, lease)
        numbers = {each.event_key: len(self.given) + at for at, each in enumerate(held)}
        self.given += [(each.event_key, quill, clock, each) for each in held]
        assert set(numbers) <= set(due) - tired
        if fate == "answered" and not tired:
            assert len(held) == min(limit, len(due))
            longest = sorted(known.due_at for known in due.values())[: len(held)]
            assert sorted(due[key].due_at for key in numbers) == longest
        for key, known in due.items():
            if key in numbers or (fate == "answer lost" and told(self.stored(key)) != known.told()):
                if key in tired:
                    known.let_go(EventStatus.DEAD)
                    continue
                known.status, known.lease = EventStatus.PROCESSING, numbers.get(key)
                known.attempts += 1
                known.due_at = clock() + lease
            elif key in tired and self.stored(key).status is EventStatus.DEAD:
                assert fate == "answered"
                known.let_go(EventStatus.DEAD)

    def write(
        self,
        back: int,
        fate: str,
        write: Callable[[Quill, WebhookEvent], object],
        effect: Callable[[Known, FrozenClock], object],
    ) -> None:
        """One write of a worker: as the model has it, or refused without a trace."""
        number = len(self.given) - 1 - back % len(self.given)
        key, quill, clock, held = self.given[number]
        known = self.known[key]
        if known.lease != number:
            before = self.stored(key)
            with pytest.raises(LeaseLost):
                write(quill, held)
            assert self.stored(key).write_token == before.write_token
            return
        with losing(quill, fate):
            write(quill, held)
        if fate != "request lost":
            effect(known, clock)

    @precondition(lambda self: self.given)
    @rule(back=leases_given, fate=fates, lease=st.sampled_from(LEASES))
    def renew(self, back: int, fate: str, lease: timedelta) -> None:
        def effect(known: Known, clock: FrozenClock) -> None:
            known.due_at = clock() + lease

        self.write(back, fate, lambda quill, held: quill.webhook_events.renew(held, lease), effect)

    @precondition(lambda self: self.given)
    @rule(back=leases_given, fate=fates)
    def complete(self, back: int, fate: str) -> None:
        self.write(
            back,
            fate,
            lambda quill, held: quill.webhook_events.complete(held),
            lambda known, _: known.let_go(EventStatus.PROCESSED),
        )

    @precondition(lambda self: self.given)
    @rule(back=leases_given, fate=fates)
    def complete_and_count(self, back: int, fate: str) -> None:
        def write(quill: Quill, held: WebhookEvent) -> None:
            with quill.transaction() as tx:
                tx.metrics.add(
                    Increment(
                        "global", self.source, "day", NOON, 1, f"{self.source} {held.event_key}"
                    )
                )
                tx.webhook_events.complete(held)

        def effect(known: Known, _: FrozenClock) -> None:
            known.let_go(EventStatus.PROCESSED)
            self.counted += 1

        self.write(back, fate, write, effect)

    @precondition(lambda self: self.given)
    @rule(back=leases_given, fate=fates, rests=st.sampled_from([timedelta(0), MINUTE]))
    def fail(self, back: int, fate: str, rests: timedelta) -> None:
        self.write(
            back,
            fate,
            lambda quill, held: quill.webhook_events.fail(held, "no", retry_in=rests),
            lambda known, clock: known.fail(clock() + rests),
        )

    @precondition(lambda self: self.given)
    @rule(back=leases_given, fate=fates)
    def release(self, back: int, fate: str) -> None:
        self.write(
            back,
            fate,
            lambda quill, held: quill.webhook_events.release(held),
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
        if fate != "request lost":
            known.let_go(EventStatus.PENDING, clock())
            known.attempts = 0

    # What always holds.

    @invariant()
    def each_event_is_told(self) -> None:
        for key, known in self.known.items():
            assert told(self.stored(key)) == known.told()

    @invariant()
    def nobody_else_can_write(self) -> None:
        for number, (key, quill, _, held) in enumerate(self.given):
            if self.known[key].lease != number:
                for write in (quill.webhook_events.complete, quill.webhook_events.renew):
                    with pytest.raises(LeaseLost):
                        write(held.copy())

    @invariant()
    def lists_say_the_same(self) -> None:
        listed = self.connected[1][0].webhook_events.list_by_status
        statuses = Counter(known.status for known in self.known.values())
        for status in EventStatus:
            assert listed(self.source, status).count() == statuses[status]

    @invariant()
    def each_is_counted_once(self) -> None:
        found = self.connected[0][0].metrics.series("global", self.source, "day").first()
        assert (0 if found is None else found.value) == self.counted


@pytest.fixture
def connected(quill: Quill) -> Iterator[Clients]:
    with two_clients(replace(quill.settings, max_attempts=MOST_ATTEMPTS)) as both:
        yield both


def test_events(connected: Clients, soak: bool) -> None:
    class Connected(Events):
        def __init__(self) -> None:
            super().__init__(connected)

    run_machine(Connected, soak=soak)
