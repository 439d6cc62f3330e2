"""Six processes at the same identities: each identity has one creator, who knows that it is."""

import random
from typing import Any

import pytest

from quill_models import Increment, Key, Outcome, Quill, Settings, connect
from tests.local_dynamo.support import DAY, HOUR, NOON, SECOND, event, race, scanned

pytestmark = pytest.mark.soak

PROCESSES = 6
HALF = PROCESSES // 2
# How each of the processes writes.
WAYS = {
    "singly": ["singly"] * PROCESSES,
    "in bulk": ["speed"] * PROCESSES,
    "in bulk, for cost": ["cost"] * PROCESSES,
    "half and half": [*["singly"] * HALF, "speed", "cost", "speed"],
}
# A soak run's processes share the machine with the server.
WITHIN = 600.0


in_each_way = pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)


@pytest.fixture
def keys(soak: bool) -> list[str]:
    return [str(number) for number in range(1000 if soak else 24)]


def in_own_order(keys: list[str], process: int) -> list[str]:
    return random.Random(process).sample(keys, len(keys))  # noqa: S311


def record(settings: Settings, process: int, way: str, keys: list[str]) -> dict[str, Any]:
    """Return the events this process created, and the creator of each by its results."""
    events = [
        event(key, digest="the same", received_at=NOON + process * SECOND, payload={"by": process})
        for key in in_own_order(keys, process)
    ]
    with connect(settings) as quill:
        if way == "singly":
            results = [quill.webhook_events.record(each) for each in events]
        else:
            results = quill.webhook_events.record_many(events, prefer=way)
    assert {result.outcome for result in results} <= {Outcome.CREATED, Outcome.DUPLICATE}
    return {
        "created": [result.item.event_key for result in results if result.created],
        "creators": {result.item.event_key: result.item.payload["by"] for result in results},
    }


@in_each_way
def test_record_many_processes_each_event_has_one_creator(
    quill: Quill, keys: list[str], ways: list[str]
) -> None:
    told = race(
        record,
        [(quill.settings, process, way, keys) for process, way in enumerate(ways)],
        within=WITHIN,
    )
    stored = scanned(quill, "webhook_event")
    assert len(stored) == len(keys)
    assert quill.webhook_events.list_by_status("hubspot", "pending").count() == len(keys)
    creators = {}
    for key in keys:
        found = quill.webhook_events.get("hubspot", key)
        assert found is not None
        assert found.received_at == NOON + found.payload["by"] * SECOND
        creators[key] = found.payload["by"]
    for process, own in enumerate(told):
        # The results of each process match the stored creators.
        created = [key for key in keys if creators[key] == process]
        assert sorted(own["created"], key=int) == created
        assert own["creators"] == creators
    assert sum(len(own["created"]) for own in told) == len(keys)


def hour_of(key: str) -> Any:
    return NOON + int(key) % 6 * HOUR


def add(settings: Settings, process: int, way: str, keys: list[str]) -> list[str]:
    """Return the increments this process added."""
    own = in_own_order(keys, process)
    increments = [
        Increment("global", "calls", "hour", hour_of(key) + process * SECOND, 1, key) for key in own
    ]
    with connect(settings) as quill:
        if way == "singly":
            results = [quill.metrics.add(each) for each in increments]
        else:
            results = quill.metrics.add_many(increments)
    assert {result.outcome for result in results} <= {Outcome.CREATED, Outcome.DUPLICATE}
    return [key for key, result in zip(own, results, strict=True) if result.created]


@pytest.mark.parametrize(
    "ways", [WAYS["singly"], WAYS["in bulk"], WAYS["half and half"]], ids=["singly", "bulk", "half"]
)
def test_add_many_processes_each_event_counts_once(
    quill: Quill, keys: list[str], ways: list[str]
) -> None:
    told = race(
        add,
        [(quill.settings, process, way, keys) for process, way in enumerate(ways)],
        within=WITHIN,
    )
    assert sorted((key for own in told for key in own), key=int) == keys
    values = {
        each.bucket_start: each.value for each in quill.metrics.series("global", "calls", "hour")
    }
    assert sum(values.values()) == len(keys)
    assert values == {
        hour: sum(hour_of(key) == hour for key in keys) for hour in map(hour_of, keys)
    }


def mark(settings: Settings, process: int, keys: list[str]) -> list[str]:
    """Return the keys this process marked, each for as many days as its number."""
    until = NOON + process * DAY
    with connect(settings) as quill:
        return [
            key
            for key in in_own_order(keys, process)
            if quill.store.check_and_mark(Key("race", key), until)
        ]


def test_check_and_mark_many_processes_each_key_has_one_winner(
    quill: Quill, keys: list[str]
) -> None:
    told = race(
        mark,
        [(quill.settings, process, keys) for process in range(PROCESSES)],
        within=WITHIN,
    )
    expiries = {item.key.sk: item.expires_at for item in quill.store.query("race")}
    assert sorted(expiries) == sorted(keys)
    for process, own in enumerate(told):
        until = (NOON + process * DAY).timestamp()
        assert sorted(own) == sorted(key for key in keys if expiries[key] == until)
    assert sum(map(len, told)) == len(keys)
