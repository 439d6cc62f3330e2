from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import simplejson
from hypothesis import given, settings

from quill_models import Settings
from quill_models.dynamodb.table import Table
from quill_models.errors import InvalidPayload
from quill_models.models import QuillModel
from quill_models.models.json_form import from_json, to_json
from quill_models.models.registry import MODELS
from tests.unit.examples import EXAMPLES, NOON, agent, interaction, metric, webhook_event
from tests.unit.strategies import models


def test_to_json_every_kind_is_covered() -> None:
    assert set(MODELS) == set(EXAMPLES)


@settings(max_examples=50)
@given(models())
def test_from_json_of_to_json_round_trips(model: QuillModel) -> None:
    shown = to_json(model)
    assert from_json(shown) == model
    text = simplejson.dumps(shown, use_decimal=True, allow_nan=False)
    assert from_json(simplejson.loads(text, use_decimal=True)) == model


@pytest.mark.parametrize("kind", EXAMPLES)
def test_to_json_has_every_field(kind: str) -> None:
    model = EXAMPLES[kind]()
    stored_with = {"created_at", "updated_at", "ttl"}
    assert set(to_json(model)) == {"kind", *model.codec().fields, *stored_with}
    assert to_json(model)["kind"] == kind


def test_to_json_interaction_example() -> None:
    call = interaction(duration_seconds=Decimal("180.50"), outcome=None)
    call.stamp(Table(Settings(), lambda: NOON))
    assert to_json(call) == {
        "kind": "interaction",
        "interaction_id": "call-1",
        "source": "hubspot",
        "external_id": "900",
        "agent_id": "7",
        "contact_id": "c9",
        "channel": "call",
        "direction": "inbound",
        "started_at": "2031-05-17T12:00:00.000000Z",
        "ended_at": "2031-05-17T12:03:00.000000Z",
        "duration_seconds": Decimal("180.50"),
        "outcome": None,
        "subject": "Renewal",
        "attributes": {"queue": "sales"},
        "source_updated_at": None,
        "created_at": "2031-05-17T12:00:00.000000Z",
        "updated_at": "2031-05-17T12:00:00.000000Z",
        "ttl": None,
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [(Decimal("3.00"), "3"), (Decimal("3E+2"), "300"), (Decimal("-0.0"), "0"), (0.1, "0.1")],
)
def test_to_json_number_is_in_plain_notation(value: Any, shown: str) -> None:
    assert str(to_json(metric(value=value))["value"]) == shown


def test_to_json_ttl_is_in_epoch_seconds() -> None:
    event = webhook_event()
    event.stamp(Table(Settings(), lambda: NOON))
    assert to_json(event)["ttl"] == int(NOON.timestamp()) + 30 * 86_400


def _changed(kind: str, **changes: Any) -> dict[str, Any]:
    return {**to_json(EXAMPLES[kind]()), **changes}


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("name", ["created_at", "updated_at", "ttl"])
def test_from_json_stored_times_are_ignored(kind: str, name: str) -> None:
    read = from_json(_changed(kind, **{name: "whatever"}))
    assert read == EXAMPLES[kind]()
    assert getattr(read, name) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "expected an object, got list"),
        ("agent", "expected an object, got str"),
        (None, "expected an object, got NoneType"),
        (
            {},
            "kind must be one of agent, interaction, metric, job_run, webhook_event, got NoneType",
        ),
        ({"kind": "squad"}, "kind must be one of agent.* got 'squad'"),
        ({"kind": ["agent"]}, r"kind must be one of agent.* got list"),
        ({"kind": "agent"}, "agent requires agent_id"),
        ({"kind": "agent", "agent_id": None}, "agent requires agent_id"),
        ({"kind": "interaction"}, "interaction requires interaction_id, started_at"),
        ({"kind": "metric", "scope": "global"}, "metric requires name, grain, bucket_start, value"),
        (
            _changed("agent", agentid="7"),
            "agent has no field 'agentid'. Its fields are agent_id, name",
        ),
        (_changed("agent", pk="AGENT#8"), "agent has no field 'pk'"),
        (_changed("agent", agent_id=7), "agent: agent_id must be text, got int 7"),
        (
            _changed("agent", status="gone"),
            "agent: status must be one of active, inactive, got 'gone'",
        ),
        (_changed("agent", external_ids=[]), "agent: external_ids must be a mapping"),
        (_changed("agent", team="x" * 3000), "agent: .* DynamoDB allows 2048"),
        (
            _changed("interaction", started_at="2031-05-17T12:00:00"),
            "started_at has no time zone",
        ),
        (_changed("interaction", started_at="noon"), "started_at must be a time .* got 'noon'"),
        (
            _changed("interaction", started_at=1_936_000_000),
            "started_at must be a time .* got int 1936000000",
        ),
        (
            _changed("interaction", started_at="0001-01-01T00:00:00+01:00", ended_at=None),
            "started_at",
        ),
        (_changed("interaction", attributes="text"), "interaction: attributes must be a mapping"),
        (_changed("metric", value="12"), "metric: value must be a number"),
        (_changed("metric", value=10**38 + 1), "metric: value must be a finite number"),
        (
            _changed("metric", bucket_start="2031-05-17T12:00Z"),
            "metric: bucket_start must be the start",
        ),
        (_changed("metric", scope="squad:7"), "metric: scope must be .* got 'squad:7'"),
        (_changed("job_run", attempt=Decimal("1.5")), "job_run: attempt must be a whole number"),
        (_changed("webhook_event", payload=[]), "webhook_event: payload must be a mapping"),
    ],
)
def test_from_json_invalid_field_names_it(fields: Any, message: str) -> None:
    with pytest.raises(InvalidPayload, match=message):
        from_json(fields)


def test_from_json_null_field_is_absent() -> None:
    assert from_json({"kind": "agent", "agent_id": "7", "team": None, "status": None}) == agent(
        name=None, email=None, team=None, external_ids={}, source_updated_at=None
    )


def test_from_json_time_of_any_zone_is_read() -> None:
    read = from_json(
        {"kind": "interaction", "interaction_id": "1", "started_at": "2031-05-17T14:00+02:00"}
    )
    assert to_json(read)["started_at"] == "2031-05-17T12:00:00.000000Z"
