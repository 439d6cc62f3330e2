"""`quill events`: how far the work on a source's events is, and a second chance for dead ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from heapq import nsmallest
from itertools import takewhile
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from quill_models.command.failures import Failed, interruptible, report
from quill_models.command.group import CommandGroup
from quill_models.command.lists import SOURCE, Lists
from quill_models.command.output import counted, json_option, limit_option, table
from quill_models.command.overview import View, age, alone, present, shortened, watch_option
from quill_models.models import EventStatus, WebhookEvent
from quill_models.models.json_form import to_json
from quill_models.quill import Quill, connect
from quill_models.reads.query import Query
from quill_models.repositories import WebhookEvents
from quill_models.values.clock import system_clock
from quill_models.values.errors import InvalidValue, QuillError
from quill_models.values.keys import time_text

__all__ = ["events", "read_overview"]

# Of the retention: so much time is left to put a worker to what waits.
_URGENT_SHARE = 0.25
_TAKEN_UP = "Interrupted. Run the same command again for the events that are left."

_LISTS = Lists(WebhookEvents)


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    params=[*_LISTS.options],
)
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
    /,
    *,
    source: str,
    with_processed: bool,
    limit: int,
    watch: int | None,
    **chosen: Any,
) -> None:
    """Count the events by status, and show failed and dead ones.

    Due are those that a worker gets when it asks now: new ones, failed ones after their
    pause, and those whose worker's lease has ended. The others wait for that.

    Counting reads what it counts. Processed events, usually the most by far, are counted
    with --all only. Failed events, which are read to be counted, are shown in the order of
    their next try, dead ones newest first. Times are UTC. With --status, --object, --since,
    --until or --newest-first it is a list, as of quill list webhook-events.

    \b
    Examples:
      quill events
      quill events --source hubspot --watch 5
      quill events --all --json
    """  # noqa: D301 -- click's mark for "keep these lines"
    if not alone(context):
        return
    if any(chosen.values()):
        read = _LISTS.reader(limit, source=source, **chosen)
    else:
        read = partial(read_overview, source=source, limit=limit, with_processed=with_processed)
    present(read, watch=watch)


@events.command(params=[SOURCE])
@click.argument("event_keys", metavar="[EVENT_KEY]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="Replay every dead event of the source.")
@json_option
def replay(*, source: str, event_keys: tuple[str, ...], all_dead: bool) -> None:
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
    replayed, errors = 0, list[QuillError]()
    with connect() as quill, interruptible(_TAKEN_UP):
        try:
            tried = (
                _replay_dead(quill, source)
                if all_dead
                else _replay_named(quill, source, event_keys)
            )
            for done in tried:
                if isinstance(done, Failed):
                    errors.append(done)
                else:
                    replayed += 1
        except QuillError as error:
            if not replayed:
                raise
            message = f"{error} Run the same command again for the others."
            errors.append(Failed(message, kind=type(error).__name__))
    report(
        {"source": source, "replayed": replayed},
        f"Replayed {counted(replayed, 'event')} of {source}.",
        errors=errors,
    )


def _replay_named(
    quill: Quill, source: str, keys: Iterable[str]
) -> Iterator[WebhookEvent | Failed]:
    """Each event that is replayed, or why it is not."""
    # Each once: the second time it would be pending already.
    for key in dict.fromkeys(keys):
        try:
            event = quill.webhook_events.get(source, key)
            if event is None:
                reason = f"There is no event {key!r} of {source!r}."
                yield Failed(reason, kind="NotFound", event_key=key)
            else:
                yield quill.webhook_events.replay(event)
        except InvalidValue as error:
            yield Failed(str(error), kind=type(error).__name__, event_key=key)


def _replay_dead(quill: Quill, source: str) -> Iterator[WebhookEvent | Failed]:
    for event in quill.webhook_events.list_by_status(source, EventStatus.DEAD):
        # The list lags behind: another has replayed it, or it is gone. It is not dead any more.
        with suppress(InvalidValue):
            yield quill.webhook_events.replay(event)


def read_overview(quill: Quill, source: str, limit: int, *, with_processed: bool) -> View:
    """How many events are in which status, and the failed and the dead ones."""
    now = system_clock()
    listed = partial(quill.webhook_events.list_by_status, source)
    failed = _Count(waiting=0)
    # One more than asked for tells whether there are more.
    soonest = nsmallest(limit + 1, failed.each(listed(EventStatus.FAILED), now), key=_due_at)
    processing = _Count(waiting=0)
    deque(processing.each(listed(EventStatus.PROCESSING), now), maxlen=0)
    counts = {
        EventStatus.PENDING: _pending(listed, now),
        EventStatus.PROCESSING: processing,
        EventStatus.FAILED: failed,
        EventStatus.DEAD: _Count(listed(EventStatus.DEAD).count()),
    }
    if with_processed:
        counts[EventStatus.PROCESSED] = _Count(listed(EventStatus.PROCESSED).count())
    dead = listed(EventStatus.DEAD, newest_first=True).page(limit)
    first = listed(EventStatus.PENDING).first()
    expires = None if first is None else first.ttl
    retention = quill.settings.webhook_retention
    tries, more_failed, more = soonest[:limit], len(soonest) > limit, dead.cursor is not None
    document = {
        "at": time_text(now),
        "source": source,
        "counts": {status.value: count.events for status, count in counts.items()},
        "due": {
            status.value: count.due for status, count in counts.items() if count.due is not None
        },
        "expires_first": None if expires is None else time_text(expires),
        "failed": [to_json(event) for event in tries],
        "more_failed": more_failed,
        "dead": [to_json(event) for event in dead.items],
        "more": more,
    }
    parts: list[RenderableType] = [
        table(
            ("status", "events", "due now", "waiting"),
            [(key.value, each.events, each.due, each.waiting) for key, each in counts.items()],
            title=f"the events of {source}",
        )
    ]
    if not any(count.events for count in counts.values()):
        none = (
            f"No events of {source!r}. --source names another one."
            if with_processed
            else f"No events of {source!r}, but for processed ones. --source names another source, "
            "--all counts the processed ones, too."
        )
        parts.append(Text(none))
    if expires and retention and expires - now < _URGENT_SHARE * retention:
        warning = (
            f"Pending events expire, the first one {age(expires, now)}: what no worker has "
            "claimed by then is forgotten."
        )
        parts.append(Text(warning, style="bold red"))
    if tries:
        parts.append(
            _listed(
                "failed, by their next try",
                "next try",
                [(each, _due_at(each)) for each in tries],
                lambda instant: age(instant, now) if instant > now else "due",
            )
        )
    if more_failed:
        parts.append(Text("There are more failed ones: give a higher --limit.", style="dim"))
    if dead.items:
        rows = [(each, each.occurred_at) for each in dead.items]
        parts.append(_listed("dead, newest first", "occurred", rows, partial(age, now=now)))
    if more:
        parts.append(Text("There are more dead ones: give a higher --limit.", style="dim"))
    return View(document, Group(*parts))


@dataclass
class _Count:
    """How many events are in a status, and how many of them are not due yet."""

    events: int = 0
    # None in a status in which nothing is due any more.
    waiting: int | None = None

    @property
    def due(self) -> int | None:
        # Counted in two requests, between which an event may have gone.
        return None if self.waiting is None else max(0, self.events - self.waiting)

    def each(self, found: Iterable[WebhookEvent], now: datetime) -> Iterator[WebhookEvent]:
        """Count events as they are read, both counts in one reading."""
        for event in found:
            self.events += 1
            self.waiting = (self.waiting or 0) + _waits(event, now)
            yield event


def _pending(listed: Callable[..., Query[WebhookEvent]], now: datetime) -> _Count:
    total = listed(EventStatus.PENDING).count()
    # In order of their due time, so that those that wait come last. Usually none does, which one
    # event tells; and then the list, which may be long, need not be read.
    last_first = listed(EventStatus.PENDING, newest_first=True)
    last = last_first.first()
    if last is None or not _waits(last, now):
        return _Count(total, 0)
    return _Count(total, sum(1 for _ in takewhile(lambda event: _waits(event, now), last_first)))


def _listed(
    title: str,
    when: str,
    rows: Iterable[tuple[WebhookEvent, datetime]],
    told: Callable[[datetime], str],
) -> RenderableType:
    """Events that did not go well, each with an instant and how that is told."""
    return table(
        ("event_key", "type", "object", when, "", "attempts", "last error"),
        [
            (
                event.event_key,
                event.event_type,
                " ".join(filter(None, (event.object_type, event.object_id))),
                instant,
                told(instant),
                event.attempts,
                shortened(event.last_error),
            )
            for event, instant in rows
        ],
        title=title,
    )


def _due_at(event: WebhookEvent) -> datetime:
    return event.due_at or event.received_at


def _waits(event: WebhookEvent, now: datetime) -> bool:
    return _due_at(event) > now
