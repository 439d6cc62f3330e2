"""`quill events`: counts, failed and dead events, replay."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from quill_models import Quill, WebhookEvent, connect
from quill_models.command.events import read_overview
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables, test_command
from tests.local_dynamo.support import DAY, MINUTE, event, on_the_wire
from tests.local_dynamo.test_command import Run, document, failed, succeeded
from tests.local_dynamo.test_command_jobs import EXPIRED, record

quill = tables.emptied
on_the_table = test_command.on_the_table
run = test_command.run


@pytest.fixture
def two_attempts(quill: Quill) -> Iterator[Quill]:
    """A connection to the same table. Events are dead after two attempts."""
    with connect(replace(quill.settings, max_attempts=2)) as connected:
        yield connected


def claim(quill: Quill, key: str, lease: timedelta = MINUTE) -> WebhookEvent:
    """Record one event and claim it."""
    record(quill, key)
    (claimed,) = quill.webhook_events.claim("hubspot", 1, lease)
    assert claimed.event_key == key
    return claimed


def make_dead(two_attempts: Quill, key: str, error: str = "no such contact") -> None:
    claimed = claim(two_attempts, key)
    two_attempts.webhook_events.fail(claimed, error, retry_in=timedelta(0))
    (claimed,) = two_attempts.webhook_events.claim("hubspot", 1)
    assert two_attempts.webhook_events.fail(claimed, error).status == "dead"


@pytest.mark.parametrize(("waited", "warns"), [(10 * DAY, False), (25 * DAY, True)])
def test_events_unclaimed_event_warns_before_expiry(
    quill: Quill, run: Run, waited: timedelta, warns: bool
) -> None:
    came = datetime.now(UTC) - waited
    with connect(quill.settings, clock=FrozenClock(came)) as then:
        expires = then.webhook_events.record(event("old", received_at=came)).item.ttl
    quill.webhook_events.record(event("new", received_at=datetime.now(UTC)))
    assert expires is not None
    shown = document(run("events", "--json"))
    assert datetime.fromisoformat(shown["expires_first"]) == expires
    assert ("Pending events expire, the first one in" in succeeded(run("events"))) is warns


def test_events_empty_table_prints_zero_counts(run: Run) -> None:
    shown = document(run("events", "--json"))
    assert datetime.fromisoformat(shown.pop("at")).tzinfo is not None
    assert shown == {
        "source": "hubspot",
        "counts": {"pending": 0, "processing": 0, "failed": 0, "dead": 0},
        "due": {"pending": 0, "processing": 0, "failed": 0},
        "expires_first": None,
        "failed": [],
        "more_failed": False,
        "dead": [],
        "more": False,
    }
    for_people = succeeded(run("events", "--source", "[other]"))
    assert "pending" in for_people
    assert "[other] has no events except processed ones. Select" in for_people
    for_people = succeeded(run("events", "--all"))
    assert "hubspot has no events. Select another source with --source." in for_people


def test_events_all_counts_processed_events(quill: Quill, run: Run) -> None:
    quill.webhook_events.complete(claim(quill, "done"))
    assert "except processed ones" in succeeded(run("events"))
    assert "has no events" not in succeeded(run("events", "--all"))


def test_events_counts_by_status(two_attempts: Quill, run: Run) -> None:
    events = two_attempts.webhook_events
    make_dead(two_attempts, "dead", "KeyError: '[red]x[/]' \x1b[2J")
    events.complete(claim(two_attempts, "done"))
    events.fail(claim(two_attempts, "later"), "boom", retry_in=MINUTE)
    claim(two_attempts, "claimed")
    # These events are due, so claim none after them.
    claim(two_attempts, "given up", lease=EXPIRED)
    record(two_attempts, "new1", "new2")
    # The clock of its sender is ahead, so it is due later.
    two_attempts.webhook_events.record(
        event("ahead", received_at=datetime.now(UTC) + timedelta(hours=1))
    )

    shown = document(run("events", "--json"))
    assert shown["counts"] == {"pending": 3, "processing": 2, "failed": 1, "dead": 1}
    assert shown["due"] == {"pending": 2, "processing": 1, "failed": 0}
    (dead,) = shown["dead"]
    assert (dead["event_key"], dead["attempts"]) == ("dead", 2)
    (later,) = shown["failed"]
    assert (later["event_key"], later["attempts"]) == ("later", 1)
    assert document(run("events", "--all", "--json"))["counts"]["processed"] == 1

    for_people = succeeded(run("events"))
    assert "processed" not in for_people
    assert "has no events" not in for_people
    assert "KeyError: '[red]x[/]' \\x1b[2J" in for_people
    assert "contact 77" in for_people
    assert "\x1b" not in for_people
    assert "processed" in succeeded(run("events", "--all"))


def test_events_list_options_equal_quill_list(two_attempts: Quill, run: Run) -> None:
    make_dead(two_attempts, "dead")
    record(two_attempts, "new")
    for options in (["--status", "dead"], ["--object", "contact", "77"], ["--newest-first"]):
        listed = document(run("events", *options, "--json"))
        assert listed == document(run("list", "webhook-events", *options, "--json"))
        assert "dead" in {each["event_key"] for each in listed["items"]}


def test_events_limit_shows_some_dead_events(two_attempts: Quill, run: Run) -> None:
    for key in ("a", "b"):
        make_dead(two_attempts, key, "x" * 900)
    shown = document(run("events", "--limit", "1", "--json"))
    assert (len(shown["dead"]), shown["counts"]["dead"], shown["more"]) == (1, 2, True)
    assert shown["dead"][0]["last_error"] == "x" * 900
    for_people = succeeded(run("events", "--limit", "1"))
    assert "higher --limit" in for_people
    # Shortened in the table.
    assert for_people.count("x") < 300


def test_events_failed_are_sorted_by_next_attempt(quill: Quill, run: Run) -> None:
    # The order of occurrence differs from the order of the next attempts.
    backoffs = {"second": 10 * MINUTE, "third": 100 * MINUTE, "first": timedelta(0)}
    claimed = [claim(quill, key) for key in backoffs]
    for each in claimed:
        why = f"boom {each.event_key}"
        quill.webhook_events.fail(each, why, retry_in=backoffs[each.event_key])
    shown = document(run("events", "--json"))
    assert [each["event_key"] for each in shown["failed"]] == ["first", "second", "third"]
    assert (shown["counts"]["failed"], shown["due"]["failed"]) == (3, 1)
    assert shown["more_failed"] is False
    lines = succeeded(run("events")).splitlines()
    first, second, third = (line for line in lines if "boom" in line)
    assert "│ due " in first
    assert "│ in 9 min " in second
    assert "│ in 1 h " in third

    shown = document(run("events", "--limit", "2", "--json"))
    assert [each["event_key"] for each in shown["failed"]] == ["first", "second"]
    assert (shown["more_failed"], shown["more"]) == (True, False)
    assert "more failed events. Show them with a higher" in succeeded(run("events", "--limit", "2"))


def test_read_overview_failed_events_cost_no_request(quill: Quill) -> None:
    assert quill.webhook_events.claim("hubspot") == []
    with on_the_wire(quill) as none:
        read_overview(quill, "hubspot", 20, with_processed=False)
    quill.webhook_events.fail(claim(quill, "a"), "boom", retry_in=MINUTE)
    with on_the_wire(quill) as some:
        overview = read_overview(quill, "hubspot", 20, with_processed=False)
    assert [each["event_key"] for each in overview.document["failed"]] == ["a"]
    assert some == none


def test_replay_keys_replays_failed_and_dead_events(two_attempts: Quill, run: Run) -> None:
    for key in ("a", "b", "c"):
        make_dead(two_attempts, key)
    two_attempts.webhook_events.fail(claim(two_attempts, "d"), "boom")
    assert succeeded(run("events", "replay", "a", "d", "a")) == "Replayed 2 events of hubspot.\n"
    stored = two_attempts.webhook_events.get("hubspot", "a")
    assert stored is not None
    assert (stored.status, stored.attempts) == ("pending", 0)

    finished = run("events", "replay", "[gone]", "a", "b")
    assert "Event hubspot/[gone] does not exist" in failed(finished)
    assert "Replay only failed and dead" in finished.stderr
    assert finished.stdout == "Replayed 1 event of hubspot.\n"

    finished = run("events", "replay", "gone", "c", "--json")
    failed(finished)
    shown = json.loads(finished.stdout)
    assert (shown["source"], shown["replayed"]) == ("hubspot", 1)
    assert [(each["type"], each["event_key"]) for each in shown["errors"]] == [("NotFound", "gone")]
    assert len(two_attempts.webhook_events.claim("hubspot", 10)) == 4


def test_replay_all_dead_replays_only_dead_events(two_attempts: Quill, run: Run) -> None:
    for number in range(5):
        make_dead(two_attempts, f"e{number}")
    two_attempts.webhook_events.fail(claim(two_attempts, "failed"), "boom", retry_in=MINUTE)
    shown = document(run("events", "replay", "--all-dead", "--json"))
    assert shown == {"source": "hubspot", "replayed": 5}
    assert succeeded(run("events", "replay", "--all-dead")) == "Replayed 0 events of hubspot.\n"
    assert document(run("events", "--json"))["counts"] == {
        "pending": 5,
        "processing": 0,
        "failed": 1,
        "dead": 0,
    }
