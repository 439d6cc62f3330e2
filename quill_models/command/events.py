"""`quill events`: how far the work on a source's events is, and a second chance for dead ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest
from itertools import takewhile
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from quill_models import hubspot
from quill_models.command.failures import Failed, fail, interruptible
from quill_models.command.group import CommandGroup
from quill_models.command.output import json_option, limit_option, print_json, table
from quill_models.command.overview import age, alone, present, shortened, watch_option
from quill_models.models import EventStatus, WebhookEvent
from quill_models.models.json_form import to_json
from quill_models.quill import Quill, connect
from quill_models.values.clock import system_clock
from quill_models.values.errors import InvalidValue, QuillError
from quill_models.values.keys import time_text

__all__ = ["events"]

# Of the retention: so much time is left to put a worker to what waits.
_URGENT_SHARE = 0.25
_TAKEN_UP = "Interrupted. Run the same command again for the events that are left."

_source = click.option("--source", default=hubspot.SOURCE, show_default=True, help="Whose events.")


@click.group(cls=CommandGroup, invoke_without_command=True, subcommand_metavar="[COMMAND]")
@_source
@click.option(
    "--all",
    "with_processed",
    is_flag=True,
    help="Count the processed ones, too. Reads them all, which takes long and costs read units "
    "where they are many.",
)
@limit_option(20, "How many failed and how many dead ones to show at most.")
@json_option
@watch_option
@click.pass_context
def events(
    context: click.Context,
    *,
    source: str,
    with_processed: bool,
    limit: int,
    as_json: bool,
    watch: int | None,
) -> None:
    """Count the events by status, and show failed and dead ones.

    Due are those that a worker gets when it asks now: new ones, failed ones after their
    pause, and those whose worker's lease has ended. The others wait for that.

    Counting reads what it counts. Processed events, usually the most by far, are counted
    with --all only. Failed events, which are read to be counted, are shown in the order of
    their next try, dead ones newest first. Times are UTC.

    \b
    Examples:
      quill events
      quill events --source hubspot --watch 5
      quill events --all --json
    """  # noqa: D301 -- click's mark for "keep these lines"
    if not alone(context):
        return
    present(
        lambda quill: _Overview.read(quill, source, limit, with_processed=with_processed),
        as_json=as_json,
        watch=watch,
    )


@events.command()
@_source
@click.argument("event_keys", metavar="[EVENT_KEY]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="Replay every dead event of the source.")
@json_option
def replay(*, source: str, event_keys: tuple[str, ...], all_dead: bool, as_json: bool) -> None:
    """Let failed or dead events be worked on again, at once, from their first attempt.

    Where an event is not there, or neither failed nor dead, it is named, and the others are
    still replayed; the exit status is then 1. quill events shows the keys of dead events.

    \b
    Examples:
      quill events replay 2902.7m3504DaOYdutPEwDg3YgdaiBpLBXCrVAZ1M92w8TA8
      quill events replay --source hubspot --all-dead
    """  # noqa: D301
    if bool(event_keys) == all_dead:
        raise click.UsageError("Give event keys or --all-dead, and not both.")
    done = _Replayed()
    with connect() as quill, interruptible(_TAKEN_UP):
        try:
            if all_dead:
                _replay_dead(quill, source, done)
            else:
                _replay_named(quill, source, event_keys, done)
        except QuillError as error:
            if not done.replayed:
                raise
            done.errors.append(
                Failed(
                    f"{error} Run the same command again for the others.",
                    kind=type(error).__name__,
                )
            )
    document = {"source": source, "replayed": done.replayed}
    if not as_json:
        number = f"{done.replayed:,} event{'' if done.replayed == 1 else 's'}"
        click.echo(f"Replayed {number} of {source}.")
    if done.errors:
        fail(*done.errors, as_json=as_json, document=document)
    if as_json:
        print_json(document)


@dataclass
class _Replayed:
    """What came of a replay so far."""

    replayed: int = 0
    errors: list[QuillError] = field(default_factory=list)


def _replay_named(quill: Quill, source: str, keys: Iterable[str], done: _Replayed) -> None:
    # Each once: the second time it would be pending already.
    for key in dict.fromkeys(keys):
        try:
            event = quill.webhook_events.get(source, key)
            if event is None:
                reason = f"There is no event {key!r} of {source!r}."
                done.errors.append(Failed(reason, kind="NotFound", event_key=key))
                continue
            quill.webhook_events.replay(event)
        except InvalidValue as error:
            done.errors.append(Failed(str(error), kind=type(error).__name__, event_key=key))
        else:
            done.replayed += 1


def _replay_dead(quill: Quill, source: str, done: _Replayed) -> None:
    for event in quill.webhook_events.list_by_status(source, EventStatus.DEAD):
        try:
            quill.webhook_events.replay(event)
        except InvalidValue:
            # The list lags behind: another has replayed it, or it is gone. It is not dead any more.
            continue
        done.replayed += 1


@dataclass(frozen=True)
class _Count:
    """How many events are in a status, and how many of them are not due yet."""

    events: int
    # None in a status in which nothing is due any more.
    waiting: int | None = None

    @property
    def due(self) -> int | None:
        # Counted in two requests, between which an event may have gone.
        return None if self.waiting is None else max(0, self.events - self.waiting)


@dataclass(frozen=True)
class _Overview:
    """How many events are in which status, and the failed and the dead ones."""

    at: datetime
    source: str
    counts: dict[EventStatus, _Count]
    failed: Sequence[WebhookEvent]
    more_failed: bool
    dead: Sequence[WebhookEvent]
    more: bool
    # When the pending event expires that has been due for longest, and whether that is soon.
    expires_first: datetime | None = None
    is_urgent: bool = False

    @classmethod
    def read(cls, quill: Quill, source: str, limit: int, *, with_processed: bool) -> _Overview:
        now = system_clock()
        listed = quill.webhook_events.list_by_status
        failed = _Tally(listed(source, EventStatus.FAILED), now)
        # One more than asked for tells whether there are more.
        soonest = nsmallest(limit + 1, failed, key=_due_at)
        counts = {
            EventStatus.PENDING: _pending(quill, source, now),
            EventStatus.PROCESSING: _all_of(listed(source, EventStatus.PROCESSING), now),
            EventStatus.FAILED: failed.count,
            EventStatus.DEAD: _Count(listed(source, EventStatus.DEAD).count()),
        }
        if with_processed:
            counts[EventStatus.PROCESSED] = _Count(listed(source, EventStatus.PROCESSED).count())
        page = listed(source, EventStatus.DEAD, newest_first=True).page(limit)
        first = listed(source, EventStatus.PENDING).first()
        expires = None if first is None else first.ttl
        retention = quill.settings.webhook_retention
        urgent = bool(expires and retention and expires - now < _URGENT_SHARE * retention)
        return cls(
            now,
            source,
            counts,
            soonest[:limit],
            len(soonest) > limit,
            page.items,
            page.cursor is not None,
            expires,
            urgent,
        )

    def document(self) -> dict[str, Any]:
        return {
            "at": time_text(self.at),
            "source": self.source,
            "counts": {status.value: count.events for status, count in self.counts.items()},
            "due": {
                status.value: count.due
                for status, count in self.counts.items()
                if count.due is not None
            },
            "expires_first": None if self.expires_first is None else time_text(self.expires_first),
            "failed": [to_json(event) for event in self.failed],
            "more_failed": self.more_failed,
            "dead": [to_json(event) for event in self.dead],
            "more": self.more,
        }

    def shown(self) -> RenderableType:
        parts: list[RenderableType] = [
            table(
                ("status", "events", "due now", "waiting"),
                [
                    (status.value, count.events, count.due, count.waiting)
                    for status, count in self.counts.items()
                ],
                title=f"the events of {self.source}",
            )
        ]
        if not any(count.events for count in self.counts.values()):
            parts.append(Text(self._none()))
        if self.is_urgent:
            parts.append(
                Text(
                    f"Pending events expire, the first one {age(self.expires_first, self.at)}: "
                    "what no worker has claimed by then is forgotten.",
                    style="bold red",
                )
            )
        if self.failed:
            rows = [
                (
                    event,
                    _due_at(event),
                    age(_due_at(event), self.at) if _waits(event, self.at) else "due",
                )
                for event in self.failed
            ]
            parts.append(_listed("failed, by their next try", "next try", rows))
        if self.more_failed:
            parts.append(Text("There are more failed ones: give a higher --limit.", style="dim"))
        if self.dead:
            rows = [
                (event, event.occurred_at, age(event.occurred_at, self.at)) for event in self.dead
            ]
            parts.append(_listed("dead, newest first", "occurred", rows))
        if self.more:
            parts.append(Text("There are more dead ones: give a higher --limit.", style="dim"))
        return Group(*parts)

    def _none(self) -> str:
        if EventStatus.PROCESSED in self.counts:
            return f"No events of {self.source!r}. --source names another one."
        return (
            f"No events of {self.source!r}, but for processed ones. --source names another source, "
            "--all counts the processed ones, too."
        )


def _pending(quill: Quill, source: str, now: datetime) -> _Count:
    listed = quill.webhook_events.list_by_status
    total = listed(source, EventStatus.PENDING).count()
    # In order of their due time, so that those that wait come last. Usually none does, which one
    # event tells; and then the list, which may be long, need not be read.
    last_first = listed(source, EventStatus.PENDING, newest_first=True)
    last = last_first.first()
    if last is None or not _waits(last, now):
        return _Count(total, 0)
    return _Count(total, sum(1 for _ in takewhile(lambda event: _waits(event, now), last_first)))


class _Tally:
    """Events as they come, counted: both counts in one reading, at the read units of counting."""

    def __init__(self, found: Iterable[WebhookEvent], now: datetime) -> None:
        self._found = found
        self._now = now
        self._events = 0
        self._waiting = 0

    def __iter__(self) -> Iterator[WebhookEvent]:
        for event in self._found:
            self._events += 1
            self._waiting += _waits(event, self._now)
            yield event

    @property
    def count(self) -> _Count:
        """Of those that came so far."""
        return _Count(self._events, self._waiting)


def _all_of(found: Iterable[WebhookEvent], now: datetime) -> _Count:
    tally = _Tally(found, now)
    for _ in tally:
        pass
    return tally.count


def _listed(
    title: str, when: str, rows: Iterable[tuple[WebhookEvent, datetime, str]]
) -> RenderableType:
    """Events that did not go well, each with an instant and how that is told."""
    return table(
        ("event_key", "type", "object", when, "", "attempts", "last error"),
        [
            (
                event.event_key,
                event.event_type,
                _object_of(event),
                instant,
                told,
                event.attempts,
                shortened(event.last_error),
            )
            for event, instant, told in rows
        ],
        title=title,
    )


def _due_at(event: WebhookEvent) -> datetime:
    return event.due_at or event.received_at


def _waits(event: WebhookEvent, now: datetime) -> bool:
    return _due_at(event) > now


def _object_of(event: WebhookEvent) -> str:
    return " ".join(filter(None, (event.object_type, event.object_id)))
