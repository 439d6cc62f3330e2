"""Helpers of these tests: times, the requests on the wire, races between processes."""

import multiprocessing
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

from quill_models import Interaction, Key, Quill, WebhookEvent
from quill_models.models import QuillModel
from tests.unit.wire import api_name, noticing

# In the future, because the server deletes expired items by its own clock.
NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)

# The barrier of the processes of a race.
_start_line: list[Barrier] = []


def botocore_of(quill: Quill) -> Any:
    """Return the botocore client of a `Quill`."""
    return quill._table.client.botocore


@contextmanager
def on_the_wire(quill: Quill) -> Iterator[list[str]]:
    """Record the API names of the requests in the block, including retries."""
    sent: list[str] = []

    with noticing(botocore_of(quill), lambda request: sent.append(api_name(request))):
        yield sent


def stored(quill: Quill, key: Key) -> dict[str, Any] | None:
    """Return the item under a key, expired or not, in the wire format."""
    response = botocore_of(quill).get_item(
        TableName=quill.settings.table,
        Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}},
        ConsistentRead=True,
    )
    item: dict[str, Any] | None = response.get("Item")
    return item


def store(quill: Quill, item: dict[str, Any]) -> None:
    """Put an item in the wire format, without the repositories."""
    botocore_of(quill).put_item(TableName=quill.settings.table, Item=item)


def scanned(quill: Quill, kind: str) -> list[dict[str, Any]]:
    """Return all items of a kind in the wire format."""
    pages = (
        botocore_of(quill)
        .get_paginator("scan")
        .paginate(
            TableName=quill.settings.table,
            FilterExpression="kind = :kind",
            ExpressionAttributeValues={":kind": {"S": kind}},
            ConsistentRead=True,
        )
    )
    return [item for page in pages for item in page["Items"]]


def is_as_stored(quill: Quill, model: QuillModel) -> bool:
    """Return whether a model equals its stored item in all attributes."""
    return model.to_item(quill._table.shards) == stored(quill, model.key())


def on_a_terminal(
    command: Sequence[object], folder: Path, environ: Mapping[str, str]
) -> tuple[bytes, bytes]:
    """Return the output of a command, and its output on a terminal."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=folder,
        env={**os.environ, **environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:
        # Linux raises this when the program has closed the terminal.
        pass
    printed, _ = running.communicate(timeout=60)
    os.close(ours)
    assert running.returncode == 0, shown
    return printed, shown


def wait_until(holds: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within} seconds"
        time.sleep(0.1)


def race(
    work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], *, within: float = 60
) -> list[Any]:
    """Return the results of a module's function in processes that start at the same moment.

    Args:
        work: The function. It, its arguments and its result must be picklable.
        arguments: The arguments of each process.
        within: Seconds after which the race fails.
    """
    # A fork server with all imports starts processes quickly. A fork of this process would inherit
    # locks of its threads, but not the threads.
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(["freezegun", "pytest", "quill_models"])
    barrier = context.Barrier(len(arguments))
    with ProcessPoolExecutor(
        len(arguments), mp_context=context, initializer=_line_up, initargs=(barrier,)
    ) as pool:
        running = [pool.submit(_from_the_line, work, each) for each in arguments]
        return [each.result(timeout=within) for each in running]


def _line_up(barrier: Barrier) -> None:
    _start_line.append(barrier)


def _from_the_line(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    _start_line[0].wait(timeout=60)
    return work(*arguments)


def event(key: str = "e1", **fields: Any) -> WebhookEvent:
    given: dict[str, Any] = {
        "source": "hubspot",
        "event_key": key,
        "event_type": "contact.propertyChange",
        "object_type": "contact",
        "object_id": "77",
        "occurred_at": NOON - HOUR,
        "received_at": NOON,
        "payload": {"eventId": 1, "value": "a"},
        **fields,
    }
    return WebhookEvent(**given)


def interaction(key: str = "i1", **fields: Any) -> Interaction:
    given: dict[str, Any] = {"interaction_id": key, "started_at": NOON, "channel": "call"}
    return Interaction(**{**given, **fields})
