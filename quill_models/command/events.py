"""`quill events`: the queue of a source, and the replay of failed and dead events."""

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

# Warn if less than this share of the retention is left until pending events expire.
_URGENT_SHARE = 0.25
# An event, its instant to show, and the distance of that from now.
_Row = tuple[WebhookEvent, datetime, str]
_INTERRUPTED = "Interrupted. Run the same command again to replay the remaining events."

_LISTS = Lists(WebhookEvents)
_COUNT_ALL = click.Option(
    ["--all", "with_processed"],
    is_flag=True,
    help="Also count processed events. Reads all of them, which is slow if there are many.",
)


@overview([*_LISTS.options, _COUNT_ALL], "Maximum number of failed and of dead events to show.")
def events(*, source: str, with_processed: bool, limit: int, **chosen: Any) -> Read:
    """Count the events by status, and show failed and dead events.

    An event is due if a worker can claim it now: it is new, its retry backoff has passed, or
    its lease has expired. Other events that are not finished are waiting.

    Counting reads the counted events. Processed events, usually the most by far, are only
    counted with --all. Failed events are shown by their next attempt, dead events newest
    first. Times are UTC. With --status, --object, --since, --until or --newest-first, the
    command lists events like quill list webhook-events.

    \b
    Examples:
      quill events
      quill events --source hubspot --watch 5
      quill events --all --json
    """  # noqa: D301 -- click's mark for "keep these lines"
    if any(chosen.values()):
        if with_processed:
            raise click.UsageError("--all is not an option of a list. Omit --all.")
        return _LISTS.reader(limit, source=source, **chosen)
    return partial(read_overview, source=source, limit=limit, with_processed=with_processed)


@events.command(params=[SOURCE])
@click.argument("event_keys", metavar="[EVENT_KEY]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="Replay all dead events of the source.")
@json_option
def replay(*, source: str, event_keys: tuple[str, ...], all_dead: bool) -> None:
    """Replay failed or dead events.

    The events become due immediately and start again with their first attempt. If an event
    does not exist or is neither failed nor dead, the command reports it, replays the others,
    and exits with 1. quill events shows the keys of failed and dead events.

    \b
    Examples:
      quill events replay 2902.7m3504DaOYdutPEwDg3YgdaiBpLBXCrVAZ1M92w8TA8
      quill events replay --source hubspot --all-dead
    """  # noqa: D301
    if bool(event_keys) == all_dead:
        raise click.UsageError("Give either event keys or --all-dead.")
    replayed, errors = 0, list[QuillError]()
    with connect() as quill, interruptible(_INTERRUPTED):
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
            message = f"{error} Run the same command again to replay the remaining events."
            errors.append(Failed(message, kind=type(error).__name__))
    report(
        {"source": source, "replayed": replayed},
        f"Replayed {counted(replayed, 'event')} of {source}.",
        errors=errors,
    )


def _replay_named(
    quill: Quill, source: str, keys: Iterable[str]
) -> Iterator[WebhookEvent | Failed]:
    """Yield each replayed event, or its failure."""
    # A repeated key would fail, as its event is pending already.
    for key in dict.fromkeys(keys):
        try:
            event = quill.webhook_events.get(source, key)
            if event is None:
                reason = f"Event {source}/{key} does not exist. Check its key and --source."
                yield Failed(reason, kind="NotFound", event_key=key)
            else:
                yield quill.webhook_events.replay(event)
        except InvalidValue as error:
            yield Failed(str(error), kind=type(error).__name__, event_key=key)


def _replay_dead(quill: Quill, source: str) -> Iterator[WebhookEvent | Failed]:
    for event in quill.webhook_events.list_by_status(source, EventStatus.DEAD):
        # Ignore events that another process has replayed or deleted since they were listed.
        with suppress(InvalidValue):
            yield quill.webhook_events.replay(event)


def read_overview(quill: Quill, source: str, limit: int, *, with_processed: bool) -> View:
    """Read the number of events by status, and the failed and the dead events."""
    now = system_clock()
    listed = partial(quill.webhook_events.list_by_status, source)
    failed, processing = Counter(due=0, waiting=0), Counter(due=0, waiting=0)
    # One more than the limit, to see whether there are more.
    soonest = nsmallest(limit + 1, _tally(listed(EventStatus.FAILED), failed, now), key=_due_at)
    deque(_tally(listed(EventStatus.PROCESSING), processing, now), maxlen=0)
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
    next_failed, more_failed, more = soonest[:limit], len(soonest) > limit, dead.cursor is not None
    document = {
        "at": time_text(now),
        "source": source,
        "counts": {status.value: count.total() for status, count in counts.items()},
        "due": {status.value: each["due"] for status, each in counts.items() if "due" in each},
        "expires_first": None if expires is None else time_text(expires),
        "failed": [to_json(event) for event in next_failed],
        "more_failed": more_failed,
        "dead": [to_json(event) for event in dead.items],
        "more": more,
    }
    retention = quill.settings.webhook_retention
    is_urgent = expires and retention and expires - now < _URGENT_SHARE * retention
    none = (
        f"{source} has no events. Select another source with --source."
        if with_processed
        else f"{source} has no events except processed ones. Select another source with --source, "
        "or count processed events with --all."
    )
    warning = (
        f"Pending events expire, the first one {age(expires, now)}. Start a worker before then."
    )
    next_attempts = [
        (each, _due_at(each), age(_due_at(each), now) if _waits(each, now) else "due")
        for each in next_failed
    ]
    dead_rows = [(each, each.occurred_at, age(each.occurred_at, now)) for each in dead.items]
    rows = [(key, n.total(), n.get("due"), n.get("waiting")) for key, n in counts.items()]
    columns = ("status", "events", "due now", "waiting")
    output = stacked(
        table(columns, rows, title=f"Events of {source}"),
        None if any(count.total() for count in counts.values()) else Text(none),
        Text(warning, style="bold red") if is_urgent else None,
        _listed("failed", "by next attempt", "next attempt", next_attempts, more=more_failed),
        _listed("dead", "newest first", "occurred", dead_rows, more=more),
    )
    return View(document, output)


def _tally(
    found: Iterable[WebhookEvent], counts: Counter[str], now: datetime
) -> Iterator[WebhookEvent]:
    """Yield the events and count those that are due and those that are waiting."""
    for event in found:
        counts["waiting" if _waits(event, now) else "due"] += 1
        yield event


def _pending(listed: Callable[..., Query[WebhookEvent]], now: datetime) -> Counter[str]:
    # Two requests: an event may be claimed between them.
    total, waiting = listed(EventStatus.PENDING).count(), 0
    # Events are listed by due time. If the last one is due, all are.
    last_first = listed(EventStatus.PENDING, newest_first=True)
    last = last_first.first()
    if last is not None and _waits(last, now):
        waiting = sum(1 for _ in takewhile(lambda event: _waits(event, now), last_first))
    return Counter(due=max(0, total - waiting), waiting=waiting)


def _listed(
    kind: str, order: str, when: str, rows: Sequence[_Row], *, more: bool
) -> RenderableType | None:
    """Return a table of failed or dead events, or None without rows."""
    if not rows:
        return None
    columns = ("event_key", "type", "object", when, "when", "attempts", "last error")
    cells = [
        (
            event.event_key,
            event.event_type,
            " ".join(filter(None, (event.object_type, event.object_id))),
            instant,
            distance,
            event.attempts,
            shortened(event.last_error),
        )
        for event, instant, distance in rows
    ]
    note = Text(f"There are more {kind} events. Show them with a higher --limit.", style="dim")
    title = f"{kind.capitalize()} events, {order}"
    return stacked(table(columns, cells, title=title), note if more else None)


def _due_at(event: WebhookEvent) -> datetime:
    return event.due_at or event.received_at


def _waits(event: WebhookEvent, now: datetime) -> bool:
    return _due_at(event) > now
