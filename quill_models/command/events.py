"""`quill events`: how far the work on a source's events is, and a second chance for dead ones."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from heapq import nsmallest
from itertools import takewhile
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from quill_models.command.failures import Failed, interruptible, report
from quill_models.command.lists import SOURCE, Lists
from quill_models.command.output import counted, json_option, table
from quill_models.command.overview import Read, View, age, overview, shortened, stacked
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
# An event, an instant of it, and how that is told.
_Told = tuple[WebhookEvent, datetime, str]
_TAKEN_UP = "Interrupted. Run the same command again for the events that are left."

_LISTS = Lists(WebhookEvents)
_COUNT_ALL = click.Option(
    ["--all", "with_processed"],
    is_flag=True,
    help="Count the processed ones, too. Reads them all, which takes long and costs read units "
    "where they are many.",
)


@overview([*_LISTS.options, _COUNT_ALL], "How many failed and how many dead ones to show at most.")
def events(*, source: str, with_processed: bool, limit: int, **chosen: Any) -> Read:
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
    if any(chosen.values()):
        if with_processed:
            raise click.UsageError("--all is for counting, not for a list.")
        return _LISTS.reader(limit, source=source, **chosen)
    return partial(read_overview, source=source, limit=limit, with_processed=with_processed)


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
            replay_all = _replay_dead if all_dead else partial(_replay_named, keys=event_keys)
            for done in replay_all(quill, source):
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
    failed, processing = Counter(due=0, waiting=0), Counter(due=0, waiting=0)
    # One more than asked for tells whether there are more.
    soonest = nsmallest(limit + 1, _counted(listed(EventStatus.FAILED), failed, now), key=_due_at)
    deque(_counted(listed(EventStatus.PROCESSING), processing, now), maxlen=0)
    counts = {
        EventStatus.PENDING: _pending(listed, now),
        EventStatus.PROCESSING: processing,
        EventStatus.FAILED: failed,
        EventStatus.DEAD: Counter(events=listed(EventStatus.DEAD).count()),
    }
    if with_processed:
        counts[EventStatus.PROCESSED] = Counter(events=listed(EventStatus.PROCESSED).count())
    dead = listed(EventStatus.DEAD, newest_first=True).page(limit)
    first = listed(EventStatus.PENDING).first()
    expires = None if first is None else first.ttl
    tries, more_failed, more = soonest[:limit], len(soonest) > limit, dead.cursor is not None
    document = {
        "at": time_text(now),
        "source": source,
        "counts": {status.value: count.total() for status, count in counts.items()},
        "due": {status.value: each["due"] for status, each in counts.items() if "due" in each},
        "expires_first": None if expires is None else time_text(expires),
        "failed": [to_json(event) for event in tries],
        "more_failed": more_failed,
        "dead": [to_json(event) for event in dead.items],
        "more": more,
    }
    retention = quill.settings.webhook_retention
    is_urgent = expires and retention and expires - now < _URGENT_SHARE * retention
    none = (
        f"No events of {source!r}. --source names another one."
        if with_processed
        else f"No events of {source!r}, but for processed ones. --source names another source, "
        "--all counts the processed ones, too."
    )
    warning = (
        f"Pending events expire, the first one {age(expires, now)}: what no worker has claimed by "
        "then is forgotten."
    )
    next_tries = [
        (each, _due_at(each), age(_due_at(each), now) if _waits(each, now) else "due")
        for each in tries
    ]
    buried = [(each, each.occurred_at, age(each.occurred_at, now)) for each in dead.items]
    rows = [(key, n.total(), n.get("due"), n.get("waiting")) for key, n in counts.items()]
    columns = ("status", "events", "due now", "waiting")
    shown = stacked(
        table(columns, rows, title=f"the events of {source}"),
        None if any(count.total() for count in counts.values()) else Text(none),
        Text(warning, style="bold red") if is_urgent else None,
        _listed("failed", "by their next try", "next try", next_tries, more=more_failed),
        _listed("dead", "newest first", "occurred", buried, more=more),
    )
    return View(document, shown)


def _counted(
    found: Iterable[WebhookEvent], counts: Counter[str], now: datetime
) -> Iterator[WebhookEvent]:
    """Events as they are read, counted in the same reading."""
    for event in found:
        counts["waiting" if _waits(event, now) else "due"] += 1
        yield event


def _pending(listed: Callable[..., Query[WebhookEvent]], now: datetime) -> Counter[str]:
    # Counted in two requests, between which an event may have gone.
    total, waiting = listed(EventStatus.PENDING).count(), 0
    # By their due time: those that wait come last. If none does, the list need not be read.
    last_first = listed(EventStatus.PENDING, newest_first=True)
    last = last_first.first()
    if last is not None and _waits(last, now):
        waiting = sum(1 for _ in takewhile(lambda event: _waits(event, now), last_first))
    return Counter(due=max(0, total - waiting), waiting=waiting)


def _listed(
    kind: str, order: str, when: str, rows: Sequence[_Told], *, more: bool
) -> RenderableType | None:
    """Events that did not go well."""
    if not rows:
        return None
    columns = ("event_key", "type", "object", when, "", "attempts", "last error")
    cells = [
        (
            event.event_key,
            event.event_type,
            " ".join(filter(None, (event.object_type, event.object_id))),
            instant,
            told,
            event.attempts,
            shortened(event.last_error),
        )
        for event, instant, told in rows
    ]
    note = Text(f"There are more {kind} ones: give a higher --limit.", style="dim")
    return stacked(table(columns, cells, title=f"{kind}, {order}"), note if more else None)


def _due_at(event: WebhookEvent) -> datetime:
    return event.due_at or event.received_at


def _waits(event: WebhookEvent, now: datetime) -> bool:
    return _due_at(event) > now
