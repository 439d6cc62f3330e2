"""The queue of webhook events: claims, leases and outcomes.

A claimed event stores a lease id, which is random for each claim. Each write of the lease holder
has the condition that the id is unchanged, so a former lease holder writes nothing.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from quill_models.dynamodb.items import TTL, Condition, RawItem, is_live, new_token
from quill_models.dynamodb.table import Table
from quill_models.models import EventStatus, WebhookEvent, key_schema
from quill_models.models.base import name_of
from quill_models.reads.query import Query
from quill_models.repositories.lease import check_lease
from quill_models.repositories.rewrite import Rewrite
from quill_models.repositories.work_log import Line, log_unreadable, log_work
from quill_models.values.clock import epoch_text
from quill_models.values.errors import InvalidValue, LeaseLost, QuillError, message_of
from quill_models.writes.actions import Put, Refusal
from quill_models.writes.bulk import iter_many
from quill_models.writes.results import PartialWriteError
from quill_models.writes.write import Write

__all__ = [
    "LEASE",
    "HolderUpdate",
    "NoneReadable",
    "Replay",
    "claim",
    "complete",
    "failing",
    "release",
]

LEASE = timedelta(minutes=5)

_FIRST_BACKOFF = timedelta(seconds=10)
_LONGEST_BACKOFF = timedelta(hours=1)
_ERROR_CHARACTERS = 1000
# Workers that claim at the same moment read the same oldest events. A worker that loses the race
# retries and picks at random from a larger set.
_ROUNDS = 4
_WIDER = 4
# The maximum number of unreadable events that a claim skips. It reads them each time.
_UNREADABLE = 100

_REPLAYABLE = frozenset({EventStatus.FAILED, EventStatus.DEAD})


class NoneReadable(InvalidValue):
    """All due events are unreadable, but fewer than a claim skips: new ones can be claimed."""


class _Claim(Write["_Claim"]):
    """Claim a due event if it is unchanged since it was read."""

    fixed_keys = True

    def __init__(self, table: Table, found: WebhookEvent, lease: timedelta) -> None:
        self.token = new_token()
        self.event = found.copy()
        self.is_claimed = False
        if found.attempts < table.settings.max_attempts:
            self.event.status = EventStatus.PROCESSING
            self.event.attempts += 1
            self.event.due_at = table.clock() + lease
            # Short, to keep the event within 1 KB. It must differ between claims of one event only.
            self.event.lease_id = secrets.token_urlsafe(6)
        elif found.status is EventStatus.PROCESSING:
            # Its workers died one after the other.
            _mark_dead(
                self.event, f"the lease of attempt {found.attempts} expired without an outcome"
            )
        else:
            # The maximum was higher when it was written.
            _mark_dead(
                self.event, found.last_error or f"{found.attempts} attempts without an outcome"
            )
        self.event.stamp(table, found.created_at, token=self.token)
        item = self.event.to_item(table.shards)
        self.event.claimed_payload = item["payload"]["S"]
        self.actions = [Put(item, Condition.unchanged_since(found.write_token))]

    def done(self, stored: RawItem | None = None) -> _Claim:  # noqa: ARG002
        self.is_claimed = self.event.lease_id is not None
        if not self.is_claimed:
            log_work(Line.EVENT_DEAD, self.event)
        return self

    def refused(self, refusals: Sequence[Refusal | None]) -> _Claim:  # noqa: ARG002
        return self


class HolderUpdate(Rewrite[WebhookEvent]):
    """A write of the lease holder of an event. Raises `LeaseLost` if the lease was lost."""

    def __init__(self, table: Table, event: WebhookEvent, change: Callable[[WebhookEvent], None]):
        if event.status is not EventStatus.PROCESSING or event.lease_id is None:
            raise LeaseLost(f"{name_of(event)} is not leased. Claim it first. Nothing was written.")
        self._given = event
        self._now = table.clock()
        self._change = change
        super().__init__(table, event.as_claimed())

    def change(self, model: WebhookEvent) -> None:
        """See `Rewrite.change`."""
        self._change(model)

    def condition(self, last: WebhookEvent) -> Condition:
        """See `Rewrite.condition`: the lease holder may have written it since."""
        return Condition(
            "#lease = :lease AND (attribute_not_exists(#ttl) OR #ttl > :now)",
            {"#lease": "lease_id", "#ttl": TTL},
            {":lease": {"S": str(last.lease_id)}, ":now": {"N": epoch_text(self._now)}},
        )

    def done(self, stored: RawItem | None = None) -> WebhookEvent:
        """See `Write.done`. The given event gets the stored state."""
        self._given.take_over(self.model)
        if self.model.status is EventStatus.DEAD:
            log_work(Line.EVENT_DEAD, self.model)
        return super().done(stored)

    def met(self, item: RawItem | None) -> WebhookEvent:
        """See `Rewrite.met`."""
        if item is None or not is_live(item, self._now):
            raise LeaseLost(
                f"{name_of(self._given)} has expired or was deleted. Nothing was written."
            )
        stored = WebhookEvent.from_item(item)
        raise LeaseLost(
            f"This worker lost the lease of {name_of(self._given)}, which is now "
            f"{stored.status.value} in attempt {stored.attempts}. Nothing was written."
        )


class Replay(Rewrite[WebhookEvent]):
    """Make a failed or dead event pending again."""

    def change(self, model: WebhookEvent) -> None:
        """See `Rewrite.change`."""
        if model.status not in _REPLAYABLE:
            raise InvalidValue(
                f"{name_of(model)} is {model.status.value}. Replay only failed and dead events."
            )
        model.status = EventStatus.PENDING
        model.attempts = 0
        model.due_at = self._table.clock()

    def met(self, item: RawItem | None) -> None:
        """See `Rewrite.met`."""
        if item is None:
            raise InvalidValue(
                f"{name_of(self.model)} has expired or was deleted. Nothing was written."
            )
        self._follow(WebhookEvent.from_item(item))


def claim(
    table: Table, source: str, limit: int, lease: timedelta, logged: set[str]
) -> list[WebhookEvent]:
    """See `WebhookEvents.claim`; ``logged`` collects the keys of logged unreadable events."""
    if limit < 1:
        raise InvalidValue(f"limit must be at least 1, got {limit}")
    check_lease(lease)
    claimed: list[WebhookEvent] = []
    try:
        _claim_into(claimed, table, lambda among: _due(table, source, among, logged), limit, lease)
    except QuillError:
        # The attempt of a claimed event is already counted, so return it rather than wait.
        if not claimed:
            raise
    return claimed


def _claim_into(
    claimed: list[WebhookEvent],
    table: Table,
    due: Callable[[int], list[WebhookEvent]],
    limit: int,
    lease: timedelta,
) -> None:
    tried: set[str] = set()
    for retry in range(_ROUNDS):
        wanted = limit - len(claimed)
        among = (_WIDER * limit if retry else limit) + len(tried)
        found = [each for each in due(among) if each.event_key not in tried]
        if retry:
            at = sorted(random.sample(range(len(found)), min(wanted, len(found))))
            found = [found[number] for number in at]
        if not found:
            return
        tried.update(event.event_key for event in found)
        try:
            for claim in iter_many(table, partial(_Claim, lease=lease), found):
                _keep(claim, claimed)
        except PartialWriteError as error:
            # The results of this bulk write are claims.
            claims: Sequence[Any] = error.results
            for claim in claims:
                _keep(claim, claimed)
            raise (error.__cause__ or error) from None
        if len(claimed) == limit or len(found) < wanted:
            return


def _keep(claim: _Claim, claimed: list[WebhookEvent]) -> None:
    if claim.is_claimed:
        claimed.append(claim.event)


def _due(table: Table, source: str, limit: int, logged: set[str]) -> list[WebhookEvent]:
    """Return the due events of a source, the longest due first.

    Raises:
        InvalidValue: Events are due, but none of them can be read.
    """
    due = Query(
        table,
        WebhookEvent,
        lambda: [key_schema.events_to_work_on(source, shard) for shard in table.shards_to_read],
        index="gsi2",
        between=key_schema.events_until(table.clock()),
    )
    found, unreadable = due.readable(limit, _UNREADABLE)
    for item, _ in unreadable:
        if item["pk"]["S"] not in logged:
            logged.add(item["pk"]["S"])
            log_unreadable(source, item)
    if unreadable and not found:
        _, first = unreadable[0]
        number = len(unreadable)
        if number == _UNREADABLE:
            raise InvalidValue(
                f"No event of source {source} can be claimed: the {number} longest due events are "
                f"unreadable. The first: {first}"
            ) from first
        due_events = "the only due event is" if number == 1 else f"all {number} due events are"
        raise NoneReadable(
            f"No event of source {source} can be claimed: {due_events} unreadable. "
            f"{'It' if number == 1 else 'The first'}: {first}"
        ) from first
    return found


def complete(event: WebhookEvent) -> None:
    """Mark an event as processed."""
    event.status = EventStatus.PROCESSED
    _end_lease(event, due_at=None)
    event.last_error = None


def failing(
    table: Table, event: WebhookEvent, error: BaseException | str, retry_in: timedelta | None
) -> HolderUpdate:
    """Return the write that marks an event as failed, or as dead after its last attempt."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {message_of(error)}"
    due_at = table.clock() + (_backoff_after(event.attempts) if retry_in is None else retry_in)

    def fail(event: WebhookEvent) -> None:
        if event.attempts >= table.settings.max_attempts:
            _mark_dead(event, text)
            return
        event.status = EventStatus.FAILED
        _end_lease(event, due_at=due_at)
        event.last_error = _shortened(text)

    return HolderUpdate(table, event, fail)


def release(event: WebhookEvent) -> None:
    """Return an event to ``pending``, due since it was recorded."""
    event.status = EventStatus.PENDING
    event.attempts -= 1
    _end_lease(event, due_at=None)


def _backoff_after(attempts: int) -> timedelta:
    """Return a random backoff that doubles with each attempt."""
    longest: timedelta = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(attempts - 1, 20))
    # At least half of it, so that a retry does not follow at once.
    return longest * random.uniform(0.5, 1)  # noqa: S311


def _mark_dead(event: WebhookEvent, error: str) -> None:
    event.status = EventStatus.DEAD
    _end_lease(event, due_at=None)
    event.last_error = _shortened(error)


def _end_lease(event: WebhookEvent, due_at: datetime | None) -> None:
    event.lease_id = None
    event.due_at = due_at


def _shortened(error: str) -> str:
    # Text that UTF-8 cannot encode must not prevent the write.
    text = error.encode(errors="replace").decode()
    return text[:_ERROR_CHARACTERS] or "no message"
