"""Work on webhook events: who holds one, and what became of it.

An event that is held carries the id of its lease, drawn anew with each claim. All that its holder
writes depends on that id, so that whoever comes late, after another has claimed it, writes nothing.
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

_FIRST_PAUSE = timedelta(seconds=10)
_LONGEST_PAUSE = timedelta(hours=1)
_ERROR_CHARACTERS = 1000
# Workers that ask at the same moment see the same oldest events. A worker that loses the race
# looks again, and picks at random from a larger set.
_LOOKS = 4
_WIDER = 4
# A claim goes past so many events that cannot be read, and reads them anew each time.
_UNREADABLE = 100

_REPLAYABLE = frozenset({EventStatus.FAILED, EventStatus.DEAD})


class NoneReadable(InvalidValue):
    """All events that are due, a few, cannot be read: others that come in can be claimed."""


class _Claim(Write["_Claim"]):
    """Take an event that is due, as it was found, unless another is faster."""

    fixed_keys = True

    def __init__(self, table: Table, found: WebhookEvent, lease: timedelta) -> None:
        self.token = new_token()
        self.event = found.copy()
        self.is_held = False
        if found.attempts < table.settings.max_attempts:
            self.event.status = EventStatus.PROCESSING
            self.event.attempts += 1
            self.event.due_at = table.clock() + lease
            # Short, to keep within a kilobyte: it differs from those of the event's other claims.
            self.event.lease_id = secrets.token_urlsafe(6)
        elif found.status is EventStatus.PROCESSING:
            # Its workers died, one after the other, before they could say what is wrong with it.
            _bury(self.event, f"the lease of attempt {found.attempts} ended without an outcome")
        else:
            # More attempts were allowed when it was written. What went wrong in them stays.
            _bury(self.event, found.last_error or f"{found.attempts} attempts without an outcome")
        self.event.stamp(table, found.created_at, token=self.token)
        item = self.event.to_item(table.shards)
        self.event.claimed_payload = item["payload"]["S"]
        self.actions = [Put(item, Condition.unchanged_since(found.write_token))]

    def done(self, stored: RawItem | None = None) -> _Claim:  # noqa: ARG002
        self.is_held = self.event.lease_id is not None
        if not self.is_held:
            log_work(Line.EVENT_DEAD, self.event)
        return self

    def refused(self, refusals: Sequence[Refusal | None]) -> _Claim:  # noqa: ARG002
        return self


class HolderUpdate(Rewrite[WebhookEvent]):
    """What the holder of an event writes. Raises `LeaseLost` where it no longer is."""

    def __init__(self, table: Table, event: WebhookEvent, change: Callable[[WebhookEvent], None]):
        if event.status is not EventStatus.PROCESSING or event.lease_id is None:
            raise LeaseLost(f"{event!r} is not held: claim it first. Nothing was written.")
        self._given = event
        self._now = table.clock()
        self._change = change
        super().__init__(table, event.as_claimed())

    def change(self, model: WebhookEvent) -> None:
        """See `Rewrite.change`."""
        self._change(model)

    def condition(self, last: WebhookEvent) -> Condition:
        """See `Rewrite.condition`: its holder may have written it since."""
        return Condition(
            "#lease = :lease AND (attribute_not_exists(#ttl) OR #ttl > :now)",
            {"#lease": "lease_id", "#ttl": TTL},
            {":lease": {"S": str(last.lease_id)}, ":now": {"N": epoch_text(self._now)}},
        )

    def done(self, stored: RawItem | None = None) -> WebhookEvent:
        """See `Write.done`. The event that was given says from now on what is stored."""
        self._given.take_over(self.model)
        if self.model.status is EventStatus.DEAD:
            log_work(Line.EVENT_DEAD, self.model)
        return super().done(stored)

    def met(self, item: RawItem | None) -> WebhookEvent:
        """See `Rewrite.met`."""
        if item is None or not is_live(item, self._now):
            raise LeaseLost(f"{self._given!r} has expired or was deleted; nothing was written.")
        stored = WebhookEvent.from_item(item)
        raise LeaseLost(
            f"{self._given!r} is no longer held by this worker: it is {stored.status.value}, in "
            f"attempt {stored.attempts}. Nothing was written."
        )


class Replay(Rewrite[WebhookEvent]):
    """Let a failed or dead event be worked on again, from its first attempt."""

    def change(self, model: WebhookEvent) -> None:
        """See `Rewrite.change`."""
        if model.status not in _REPLAYABLE:
            raise InvalidValue(f"{model!r} cannot be replayed; that is for failed and dead events.")
        model.status = EventStatus.PENDING
        model.attempts = 0
        model.due_at = self._table.clock()

    def met(self, item: RawItem | None) -> None:
        """See `Rewrite.met`."""
        if item is None:
            raise InvalidValue(f"{self.model!r} has expired or was deleted; nothing was written.")
        self._follow(WebhookEvent.from_item(item))


def claim(
    table: Table, source: str, limit: int, lease: timedelta, told: set[str]
) -> list[WebhookEvent]:
    """See `WebhookEvents.claim`.

    Args:
        table: where.
        source: whose events.
        limit: at most so many.
        lease: how long they are held.
        told: the keys of those of which the log knows that they cannot be read.
    """
    if limit < 1:
        raise InvalidValue(f"limit must be 1 or more, not {limit}")
    check_lease(lease)
    held: list[WebhookEvent] = []
    try:
        _claim_into(held, table, lambda among: _due(table, source, among, told), limit, lease)
    except QuillError:
        # Those that are held count one attempt more already: better worked on than waited for.
        if not held:
            raise
    return held


def _claim_into(
    held: list[WebhookEvent],
    table: Table,
    due: Callable[[int], list[WebhookEvent]],
    limit: int,
    lease: timedelta,
) -> None:
    tried: set[str] = set()
    for look in range(_LOOKS):
        wanted = limit - len(held)
        among = (_WIDER * limit if look else limit) + len(tried)
        found = [each for each in due(among) if each.event_key not in tried]
        if look:
            at = sorted(random.sample(range(len(found)), min(wanted, len(found))))
            found = [found[number] for number in at]
        if not found:
            return
        tried.update(event.event_key for event in found)
        try:
            for claim in iter_many(table, partial(_Claim, lease=lease), found):
                _keep(claim, held)
        except PartialWriteError as error:
            # Of this bulk write they are claims.
            claims: Sequence[Any] = error.results
            for claim in claims:
                _keep(claim, held)
            raise (error.__cause__ or error) from None
        if len(held) == limit or len(found) < wanted:
            return


def _keep(claim: _Claim, held: list[WebhookEvent]) -> None:
    if claim.is_held:
        held.append(claim.event)


def _due(table: Table, source: str, limit: int, told: set[str]) -> list[WebhookEvent]:
    """The events of a source that may be worked on, the longest due first.

    Raises:
        InvalidValue: there are some, and none that can be read.
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
        if item["pk"]["S"] not in told:
            told.add(item["pk"]["S"])
            log_unreadable(source, item)
    if unreadable and not found:
        # Left out without a word, they would never be noticed.
        _, first = unreadable[0]
        number = len(unreadable)
        if number == _UNREADABLE:
            raise InvalidValue(
                f"No event of {source!r} can be claimed: the {number} that are longest due cannot "
                f"be read. The first: {first}"
            ) from first
        are = "the only one that is" if number == 1 else f"all {number} that are"
        raise NoneReadable(
            f"No event of {source!r} can be claimed: {are} due cannot be read. "
            f"{'It' if number == 1 else 'The first'}: {first}"
        ) from first
    return found


# What the holder of an event can make of it.


def complete(event: WebhookEvent) -> None:
    """It is done with."""
    event.status = EventStatus.PROCESSED
    _let_go(event, due_at=None)
    event.last_error = None


def failing(
    table: Table, event: WebhookEvent, error: BaseException | str, retry_in: timedelta | None
) -> HolderUpdate:
    """It is tried again after a pause, or never, after so many attempts."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {message_of(error)}"
    due_at = table.clock() + (_pause_after(event.attempts) if retry_in is None else retry_in)

    def fail(event: WebhookEvent) -> None:
        if event.attempts >= table.settings.max_attempts:
            _bury(event, text)
            return
        event.status = EventStatus.FAILED
        _let_go(event, due_at=due_at)
        event.last_error = _shortened(text)

    return HolderUpdate(table, event, fail)


def release(event: WebhookEvent) -> None:
    """It is given back, without having been tried, to the place it had when it came in."""
    event.status = EventStatus.PENDING
    event.attempts -= 1
    _let_go(event, due_at=None)


def _pause_after(attempts: int) -> timedelta:
    """How long a failed event rests: longer each time, and never the same time for two."""
    longest: timedelta = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempts - 1, 20))
    # Half of it is certain, so that what failed a moment ago is not tried at once.
    return longest * random.uniform(0.5, 1)  # noqa: S311


def _bury(event: WebhookEvent, error: str) -> None:
    event.status = EventStatus.DEAD
    _let_go(event, due_at=None)
    event.last_error = _shortened(error)


def _let_go(event: WebhookEvent, due_at: datetime | None) -> None:
    event.lease_id = None
    event.due_at = due_at


def _shortened(error: str) -> str:
    # What UTF-8 cannot encode must not keep the failure from being written.
    text = error.encode(errors="replace").decode()
    return text[:_ERROR_CHARACTERS] or "no message"
