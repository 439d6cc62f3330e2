"""The ETL of `typing_tests.consumer` does what its author would expect of the docs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from quill_models import Outcome, Quill
from typing_tests.consumer import crm_etl as etl

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)
AGENTS: list[etl.AgentRow] = [
    {"id": "ada", "name": "Ada", "team": "north", "hubspot_owner": "1184062", "changed": NINE},
    {"id": "bo", "name": "Bo", "team": "north", "hubspot_owner": None, "changed": NINE},
    {"id": "cy", "name": "Cy", "team": "north", "hubspot_owner": None, "changed": NINE},
]
CALLS: list[etl.CallRow] = [
    {
        "id": str(number),
        "owner": "ada",
        "customer": f"c{number % 3}",
        "begun": NINE + timedelta(minutes=number),
        "seconds": 30,
    }
    for number in range(120)
]
BODY = b"""[
    {"eventId": 1, "subscriptionType": "contact.creation", "occurredAt": 1765043528476,
     "objectId": 7},
    {"eventId": 2, "subscriptionType": "contact.creation", "occurredAt": 1765043528477,
     "objectId": 8}
]"""


def test_consumer_agents_repeated_and_edited(quill: Quill) -> None:
    assert etl.load_agents(quill, AGENTS) == {Outcome.CREATED: 3}
    assert etl.load_agents(quill, AGENTS) == {Outcome.UNCHANGED: 3}
    edited: etl.AgentRow = {**AGENTS[0], "name": "Ada O.", "changed": NINE + timedelta(days=1)}
    assert etl.load_agents(quill, [edited, AGENTS[0]]) == {Outcome.UPDATED: 1, Outcome.STALE: 1}
    assert list(etl.pages_of_team(quill, "north", 2)) == [["Ada O.", "Bo"], ["Cy"]]


def test_consumer_calls_are_loaded_once_per_window(quill: Quill) -> None:
    assert etl.load_calls(quill, "2026-11-20", CALLS) == etl.Loaded(120, 0, [])
    assert etl.load_calls(quill, "2026-11-20", CALLS) is None
    longer: etl.CallRow = {**CALLS[0], "seconds": 31}
    assert etl.load_calls(quill, "2026-11-21", [longer, CALLS[1]]) == etl.Loaded(0, 1, ["crm-0"])
    for _ in range(2):
        assert etl.set_talk_time(quill, "ada", NINE).value == Decimal(3600)
    found = etl.overview(quill)
    assert found["came to"] == CALLS[-1]["begun"]
    assert (found["dead events"], found["stale"]) == (0, [])
    assert isinstance(found["last success"], datetime)


def test_consumer_events_count_once(quill: Quill) -> None:
    assert [result.created for result in etl.take_in(quill, BODY)] == [True, True]
    assert etl.work(quill) == 2
    assert [result.outcome for result in etl.take_in(quill, BODY)] == [Outcome.DUPLICATE] * 2
    assert etl.work(quill) == 0
    assert etl.take_in(quill, b"<html>") == []
    (bucket,) = quill.metrics.series("global", "events", "hour")
    assert bucket.value == 2
    note = quill.interactions.list_by_contact("7").first()
    assert note is not None
    assert note.subject == "contact.creation"


def test_consumer_one_report_a_day(quill: Quill) -> None:
    assert [etl.announce(quill, NINE) for _ in range(3)] == [True, False, False]
