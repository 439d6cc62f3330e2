"""Models as Python objects: how they are made, compared, shown, and what their keys follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models import Agent
from quill_models.dynamodb.shards import DEFAULT_SHARDS
from quill_models.errors import InvalidValue
from quill_models.models import QuillModel
from tests.unit.examples import (
    COMPOSED,
    EXAMPLES,
    KINDS,
    NOON,
    agent,
    entered,
    interaction,
    job_run,
    metric,
    table,
    webhook_event,
)
from tests.unit.strategies import texts

# Constructors.


@KINDS
def test_constructor_positional_argument_raises(kind: str) -> None:
    model = type(EXAMPLES[kind]())
    parameters = list(inspect.signature(model).parameters.values())
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    assert all(parameter.annotation is not parameter.empty for parameter in parameters)
    with pytest.raises(TypeError, match="positional"):
        model("7")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@KINDS
@pytest.mark.parametrize(
    "name", ["nonsense", "kind", "created_at", "ttl", "write_token", *COMPOSED]
)
def test_constructor_unknown_or_internal_argument_raises(kind: str, name: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        EXAMPLES[kind](**{name: "x"})


@KINDS
def test_constructor_missing_field_names_it(kind: str) -> None:
    model = type(EXAMPLES[kind]())
    needed = [
        name
        for name, parameter in inspect.signature(model).parameters.items()
        if name != "self" and parameter.default is parameter.empty
    ]
    assert set(model.IDENTITY) <= {*needed, "window"}
    for name in needed:
        with pytest.raises(InvalidValue, match=name):
            EXAMPLES[kind](**{name: None})


def test_interaction_inconsistent_fields_raise() -> None:
    with pytest.raises(InvalidValue, match="call-1 has an external_id but no source"):
        interaction(source=None)
    with pytest.raises(InvalidValue, match=r"call-1 ends at .*, before its start"):
        interaction(ended_at=NOON - timedelta(microseconds=1))
    assert interaction(ended_at=NOON).ended_at == NOON


@pytest.mark.parametrize(
    "scope", ["agent", "agent:", "team:", ":7", "Global", "GLOBAL", "global:", "squad:7", " global"]
)
def test_metric_invalid_scope_raises_with_allowed_scopes(scope: str) -> None:
    with pytest.raises(InvalidValue, match="agent:<id>, team:<name> or global"):
        metric(scope=scope)


@given(st.sampled_from(("agent", "team")), texts())
def test_metric_scope_accepts_any_identity(kind: str, identity: str) -> None:
    assert metric(scope=f"{kind}:{identity}").scope == f"{kind}:{identity}"


# Equality and text.


@KINDS
def test_eq_same_content_is_true(kind: str) -> None:
    one, same = EXAMPLES[kind](), EXAMPLES[kind]()
    assert one == same
    same.stamp(table())
    same.unknown = {"x_new": {"S": "of a newer version"}}
    assert one == same
    assert one != object()
    others = [make() for other, make in EXAMPLES.items() if other != kind]
    assert one not in others
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (agent, {"agent_id": "8"}),
        (agent, {"name": None}),
        (agent, {"external_ids": {}}),
        (agent, {"status": "inactive"}),
        (interaction, {"started_at": NOON - timedelta(microseconds=1)}),
        (interaction, {"duration_seconds": Decimal("180.1")}),
        (interaction, {"attributes": {"queue": "support"}}),
        (metric, {"value": 13}),
        (metric, {"dimensions": {}}),
        (job_run, {"attempt": 2}),
        (job_run, {"checkpoint": {"page": 4}}),
        (webhook_event, {"payload": {"objectId": "123"}}),
        (webhook_event, {"status": "dead"}),
    ],
)
def test_eq_other_content_is_false(
    make: Callable[..., QuillModel], changes: dict[str, Any]
) -> None:
    assert make(**changes) != make()


def test_eq_compares_numbers_and_times_by_value() -> None:
    assert metric(value=12.0) == metric(value=Decimal("12.00")) == metric(value=12)


@pytest.mark.parametrize(("one", "other"), [(True, 1), (False, 0), (True, Decimal("1.0"))])
def test_eq_true_differs_from_one(one: Any, other: Any) -> None:
    # They are in JSON two things: an edit from one to the other is an edit.
    assert interaction(attributes={"vip": one}) != interaction(attributes={"vip": other})
    assert interaction(attributes={"in": [one]}) != interaction(attributes={"in": [other]})


SECRET = "hunter2"


@pytest.mark.parametrize(
    "model",
    [
        agent(email=f"{SECRET}@example.org"),
        interaction(attributes={"card": SECRET}, subject=SECRET),
        metric(dimensions={"by": SECRET}),
        job_run(checkpoint={"token": SECRET}, stats={"s": SECRET}, error={"message": SECRET}),
        webhook_event(payload={"email": SECRET}, last_error=SECRET),
    ],
)
def test_repr_shows_identity_and_no_payload(model: QuillModel) -> None:
    text = repr(model)
    assert SECRET not in text
    assert SECRET not in str(model)
    assert text.startswith(f"{type(model).__name__}({model.IDENTITY[0]}=")
    for name in model.IDENTITY:
        assert f"{name}={getattr(model, name)!r}" in text


# Composed keys.


@KINDS
@pytest.mark.parametrize("name", COMPOSED)
def test_composed_key_assignment_raises(kind: str, name: str) -> None:
    with pytest.raises(InvalidValue, match=f"{name} is composed from the fields"):
        setattr(EXAMPLES[kind](), name, "by hand")


@pytest.mark.usefixtures("isolated")
@KINDS
def test_composed_key_is_readable(kind: str) -> None:
    model = EXAMPLES[kind]()
    with entered(table()):
        shown = {name: getattr(model, name) for name in COMPOSED}
    composed = model.composed_keys(DEFAULT_SHARDS)
    assert shown == {name: composed.get(name) for name in COMPOSED}


def test_composed_key_follows_a_changed_field() -> None:
    one = agent()
    one.team = "south"
    one.name = "Grace"
    one.status = "inactive"
    assert one.composed_keys(1) == agent(
        team="south", name="Grace", status="inactive"
    ).composed_keys(1)
    one.team = None
    assert "gsi2pk" not in one.to_item(1)

    call = interaction()
    call.started_at = NOON + timedelta(days=1)
    call.ended_at = None
    call.agent_id = "8"
    assert call.to_item(1)["gsi1pk"] == {"S": "AGENT#8"}
    assert call.to_item(1)["gsi1sk"] == {"S": "INTERACTION#2031-05-18T12:00:00.000000Z#call-1"}
    assert call.to_item(1)["gsi3pk"] == {"S": "DAY#2031-05-18#000"}

    event = webhook_event()
    event.status = "processed"
    assert "gsi2pk" not in event.to_item(1)


def test_from_item_stale_keys_are_recomposed() -> None:
    item = agent(team="north").to_item(1)
    read = Agent.from_item({**item, "gsi2pk": {"S": "TEAM#gone"}})
    assert read.to_item(1)["gsi2pk"] == {"S": "TEAM#north"}
    without_team = agent(team=None).to_item(1)
    read = Agent.from_item({**without_team, "gsi2pk": {"S": "TEAM#gone"}})
    assert "gsi2pk" not in read.to_item(1)
