"""Telemetry and log records of a real server, with and without connection faults."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from quill_models import Agent, Increment, JobStatus, Key, Quill, WebhookEvent, connect, errors
from quill_models.telemetry.records import FAILED_CONDITIONS
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.faults import Fault, Faults
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    HOUR,
    MINUTE,
    NOON,
    event,
    interaction,
    on_the_wire,
)
from tests.unit.listener import Listener

quill = tables.emptied

SECRET = "s3cr3t-öffentlich-nicht"
SEED = 11


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def observed(quill: Quill, listener: Listener) -> Iterator[Quill]:
    """A `Quill` on the table of ``quill`` that ``listener`` observes."""
    with connect(quill.settings, telemetry=listener) as connected:
        yield connected


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], list[logging.LogRecord]]:
    caplog.set_level("DEBUG", "quill_models")
    return lambda: [each for each in caplog.records if each.name.startswith("quill_models")]


def test_telemetry_observes_every_request_once(observed: Quill, listener: Listener) -> None:
    with on_the_wire(observed) as sent:
        observed.webhook_events.record_many(event(str(number)) for number in range(250))
        observed.webhook_events.record_many([event("1"), event("new")], prefer="cost")
        observed.agents.put(Agent(agent_id="ada", name="Ada"))
        list(observed.webhook_events.list_by_status("hubspot", "pending"))
        with observed.job_runs.start("job", "w"), observed.transaction() as tx:
            tx.agents.put(Agent(agent_id="bob", name="Bob"))
    assert Counter(each.request for each in listener.requests) == Counter(sent)
    assert sum(each.requests for each in listener.operations) == len(sent)
    assert {each.operation for each in listener.requests} == {
        "webhook_events.record_many",
        "agents.put",
        "webhook_events.list_by_status",
        "job_runs.start",
        "transaction.commit",
        "run.succeed",
    }
    assert listener.open == []


def test_operation_counts_consumed_units(observed: Quill, listener: Listener) -> None:
    observed.table.known_shards  # noqa: B018 -- no request
    observed.webhook_events.record(event())
    observed.webhook_events.record(event())
    observed.webhook_events.get("hubspot", "e1")
    first, second, third = listener.operations
    # The table and its three indexes, and a read of the number of shards.
    assert (first.write_units, first.read_units) == (4, 1)
    # DynamoDB charges for a failed condition but does not report the units.
    assert (second.write_units, second.outcomes) == (0, {"duplicate": 1})
    assert (third.write_units, third.read_units) == (0, 1)


def test_operation_outcomes_equal_results(observed: Quill, listener: Listener) -> None:
    given = [event("1"), event("2"), event("1"), event("2", payload={"x": 2}, digest="other")]
    results = observed.webhook_events.record_many(given)
    (operation,) = listener.operations
    assert operation.outcomes == Counter(each.outcome.value for each in results)
    assert operation.outcomes == {"created": 2, "duplicate": 1, "conflict": 1}


@pytest.mark.parametrize("chances", [{"lost": 0.3}, {"disturbed": 0.4}], ids=["lost", "disturbed"])
def test_telemetry_with_faults_observes_requests_and_retries(
    quill: Quill, proxy: Proxy, listener: Listener, chances: dict[str, float]
) -> None:
    settings = replace(quill.settings, endpoint=proxy.endpoint)
    with connect(settings, telemetry=listener) as faulty:
        faulty.store.get(Key("a", "b"))
        proxy.faults = Faults(SEED, **chances)
        before = len(listener.requests)
        for number in range(12):
            faulty.webhook_events.record(event(str(number)))
        faulty.webhook_events.record_many(event(str(number)) for number in range(300))
        list(faulty.webhook_events.list_by_status("hubspot", "pending"))
    requests = listener.requests[before:]
    assert len(requests) == proxy.faults.seen
    failed = [
        each for each in requests if each.error is not None and each.error not in FAILED_CONDITIONS
    ]
    assert len(failed) == proxy.faults.done.total() > 0
    # Each failed try was retried, and every call succeeded.
    retried = [each for each in listener.retries if each.request is not None]
    assert len(retried) == len(failed)
    assert Counter(each.request for each in retried) == Counter(each.request for each in failed)
    assert [each for _, each in listener.ended if isinstance(each, errors.Throttled)] == []
    operations = listener.operations[1:]
    assert sum(each.requests for each in operations) == len(requests)
    assert sum(each.retries for each in operations) == len(listener.retries)
    created = sum(each.outcomes["created"] for each in operations)
    assert created == 300


def do_everything(quill: Quill, clock: FrozenClock) -> None:
    """Call each repository with the secret as user data."""
    fields = {"payload": {"note": SECRET, SECRET: 1}, "object_id": SECRET}
    quill.store.put(Key("plain", SECRET), {"x": SECRET})
    quill.store.get(Key("plain", SECRET))
    list(quill.store.query("plain"))
    quill.store.delete(Key("plain", SECRET))
    quill.agents.put(Agent(agent_id=SECRET, name=SECRET, email=f"{SECRET}@b.c"))
    quill.agents.put(Agent(agent_id=SECRET, name=f"{SECRET}2", external_ids={"hubspot": SECRET}))
    quill.agents.get_by_external_id("hubspot", SECRET)
    quill.interactions.record(
        interaction(SECRET, agent_id=SECRET, contact_id=SECRET, subject=SECRET)
    )
    quill.interactions.list_by_contact(SECRET).page()
    quill.metrics.add(
        Increment(
            scope=f"agent:{SECRET}",
            name="calls",
            grain="day",
            at=NOON,
            amount=1,
            event_key=SECRET,
        )
    )
    quill.webhook_events.record_many([event(str(number), **fields) for number in range(120)])
    quill.webhook_events.record_many([event("1", **fields), event("c1", **fields)], prefer="cost")
    quill.webhook_events.list_by_object("hubspot", "contact", SECRET).count()
    with pytest.raises(ValueError, match=SECRET), quill.job_runs.start("job", "w") as run:
        run.stats["x"] = SECRET
        run.save_checkpoint({"at": SECRET})
        raise ValueError(SECRET)

    def handler(each: WebhookEvent) -> None:
        if each.event_key.endswith("1"):
            raise ValueError(SECRET)
        if each.event_key.endswith("2"):
            quill.webhook_events.complete(each)
            raise ValueError(SECRET)

    for _ in range(2):
        quill.webhook_events.process("hubspot", handler, limit=50, until_empty=True)
        clock.tick(HOUR)
    (failed, *_) = quill.webhook_events.list_by_status("hubspot", "dead")
    quill.webhook_events.replay(failed)


@pytest.mark.parametrize("chances", [{}, {"disturbed": 0.15, "lost": 0.1}], ids=["well", "faulty"])
def test_log_records_contain_no_user_data(
    quill: Quill,
    proxy: Proxy,
    quill_clock: FrozenClock,
    records: Callable[[], list[logging.LogRecord]],
    chances: dict[str, float],
) -> None:
    settings = replace(quill.settings, endpoint=proxy.endpoint, max_attempts=2)
    with connect(settings, clock=quill_clock) as faulty:
        faulty.store.get(Key("a", "b"))
        proxy.faults = Faults(SEED, **chances)
        do_everything(faulty, quill_clock)
        proxy.faults = Faults(0)
    found = records()
    names = {each.name.rpartition(".")[2] for each in found}
    assert names >= {"requests", "job_runs", "events", *({"retries"} if chances else ())}
    for record in found:
        text = f"{record.getMessage()} {vars(record)!r}"
        assert SECRET not in text
        assert record.exc_info is None


@pytest.mark.usefixtures("quill_clock")
def test_log_dead_event_is_a_warning(
    quill: Quill, records: Callable[[], list[logging.LogRecord]]
) -> None:
    quill.webhook_events.record(event())
    few = connect(replace(quill.settings, max_attempts=1), clock=quill.table.clock)
    (claimed,) = few.webhook_events.claim("hubspot")
    few.webhook_events.fail(claimed, ValueError(SECRET))
    (record,) = [each for each in records() if each.levelname == "WARNING"]
    assert record.getMessage() == "Event hubspot/e1 is dead after 1 attempts"
    assert vars(record)["quill_event_key"] == "e1"
    assert vars(record)["quill_status"] == "dead"


def test_log_job_run_records_state_changes(
    quill: Quill, quill_clock: FrozenClock, records: Callable[[], list[logging.LogRecord]]
) -> None:
    def levels() -> list[tuple[str, str]]:
        found = [each for each in records() if each.name == "quill_models.job_runs"]
        return [(each.levelname, each.getMessage().partition(": ")[2]) for each in found]

    died = quill.job_runs.start("sync", "w", lease=MINUTE)
    quill_clock.tick(HOUR)
    with quill.job_runs.start("sync", "w") as run:
        with pytest.raises(errors.LeaseLost):
            died.renew()
        run.stats["x"] = 1
    with pytest.raises(KeyError), quill.job_runs.start("sync", "w2"):
        raise KeyError(SECRET)
    running = quill.job_runs.start("sync", "w3")
    cancelled = quill.job_runs.cancel("sync", "w3")
    assert cancelled is not None
    assert cancelled.status is JobStatus.CANCELLED
    ended = f"{NOON + MINUTE:%Y-%m-%dT%H:%M:%SZ}"
    took = f"attempt 2 took over from attempt 1 of {died.owner}, whose lease expired at {ended}"
    assert levels() == [
        ("INFO", "attempt 1 started"),
        ("WARNING", took),
        ("WARNING", "attempt 1 lost its lease"),
        ("INFO", "attempt 2 succeeded"),
        ("INFO", "attempt 1 started"),
        ("WARNING", "attempt 1 failed with KeyError"),
        ("INFO", "attempt 1 started"),
        ("INFO", "attempt 1 cancelled"),
    ]
    assert running.attempt == 1


def test_log_schema_apply_records_steps(
    quill_settings: Any, records: Callable[[], list[logging.LogRecord]]
) -> None:
    with connect(quill_settings) as fresh:
        done = fresh.schema.apply(stream=False)
        fresh.schema.delete_table()
    messages = [each.getMessage() for each in records() if each.name == "quill_models.schema"]
    assert messages == [f"Table {quill_settings.table!r}: {step}" for step in done[: len(messages)]]
    assert len(messages) >= 2


def test_telemetry_names_each_fault(quill: Quill, proxy: Proxy, listener: Listener) -> None:
    named = {}
    settings = replace(quill.settings, endpoint=proxy.endpoint)
    with connect(settings, telemetry=listener) as faulty:
        faulty.store.get(Key("a", "b"))
        for fault in Fault:
            proxy.disturb("GetItem", fault)
            faulty.store.get(Key("a", "b"))
            named[fault] = (listener.requests[-2].error, listener.retries[-1].reason)
    assert named == {
        Fault.LOST: ("ConnectionClosedError", "AnswerLost"),
        Fault.THROTTLED: (named[Fault.THROTTLED][0], "Throttled"),
        Fault.FAILED_BEFORE: ("InternalServerError", "AnswerLost"),
        Fault.FAILED_AFTER: ("InternalServerError", "AnswerLost"),
        Fault.UNAVAILABLE: ("503", "AnswerLost"),
        Fault.CUT_BEFORE: ("ConnectionClosedError", "AnswerLost"),
        Fault.CUT_MIDWAY: (named[Fault.CUT_MIDWAY][0], "AnswerLost"),
    }
