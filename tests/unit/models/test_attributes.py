from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quill_models.errors import InvalidValue
from quill_models.models import QuillModel
from quill_models.values.canonical import canonical_json
from quill_models.values.conversion import exact_decimal
from tests.unit.examples import NOON, agent, interaction, job_run, metric, webhook_event
from tests.unit.strategies import documents, instants, json_values, numbers, texts

Make = Callable[..., QuillModel]

_NOT_TEXT: list[Any] = [7, True, b"bytes", 1.5, ["a"], {"a": "b"}, NOON]
_NOT_TIMES: list[Any] = [
    NOON.replace(tzinfo=None),
    NOON.date(),
    "2031-05-17T12:00:00Z",
    1_936_000_000,
    True,
]
_NOT_NUMBERS: list[Any] = [True, False, "12", None, b"12", 1j, [1]]
_NOT_STORABLE: list[Any] = [
    float("nan"),
    float("inf"),
    float("-inf"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    10**38 + 1,
    Decimal("1." + "1" * 38),
    Decimal("1E+126"),
    Decimal("-1E+126"),
    Decimal("9E-131"),
    Decimal("1E-200"),
    pytest.param(10**5000, id="10**5000"),
    1e-300,
]
_NOT_MAPPINGS: list[Any] = ["text", 7, [("a", "b")], {"a"}]


def refused(make: Make, field: str, value: Any) -> str:
    with pytest.raises(InvalidValue) as caught:
        make(**{field: value})
    assert field in str(caught.value)
    return str(caught.value)


# Text.

_TEXT_FIELDS: list[tuple[Make, str]] = [
    (agent, "agent_id"),
    (agent, "name"),
    (agent, "team"),
    (interaction, "interaction_id"),
    (interaction, "source"),
    (interaction, "contact_id"),
    (interaction, "subject"),
    (metric, "scope"),
    (metric, "name"),
    (metric, "unit"),
    (job_run, "job_name"),
    (job_run, "window"),
    (job_run, "owner"),
    (webhook_event, "event_key"),
    (webhook_event, "object_id"),
    (webhook_event, "digest"),
    (webhook_event, "last_error"),
]


@pytest.mark.parametrize(("make", "field"), _TEXT_FIELDS)
@pytest.mark.parametrize("value", [*_NOT_TEXT, "", "\ud800", "a\udfff"])
def test_text_not_text_raises_invalid_value(make: Make, field: str, value: Any) -> None:
    refused(make, field, value)


def test_text_endless_repr_raises_invalid_value() -> None:
    refused(agent, "agent_id", 10**5000)


class _Team(enum.StrEnum):
    NORTH = "north"


class _OldTeam(str, enum.Enum):  # noqa: UP042 -- as code for Python 3.10 writes it
    NORTH = "north"


class _Named(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


@pytest.mark.parametrize("value", [_Team.NORTH, _OldTeam.NORTH, _Named("north")])
def test_text_subclass_is_stored_as_plain_text(value: str) -> None:
    team = agent(team=value).team
    assert team == "north"
    assert type(team) is str


# Times.

_TIME_FIELDS: list[tuple[Make, str]] = [
    (agent, "source_updated_at"),
    (interaction, "started_at"),
    (interaction, "ended_at"),
    (metric, "bucket_start"),
    (metric, "computed_at"),
    (job_run, "started_at"),
    (job_run, "lease_expires_at"),
    (job_run, "heartbeat_at"),
    (job_run, "finished_at"),
    (webhook_event, "occurred_at"),
    (webhook_event, "received_at"),
]


@pytest.mark.parametrize(("make", "field"), _TIME_FIELDS)
@pytest.mark.parametrize("value", _NOT_TIMES)
def test_instant_naive_or_not_a_time_raises(make: Make, field: str, value: Any) -> None:
    refused(make, field, value)


def test_instant_outside_utc_years_raises() -> None:
    early = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
    refused(webhook_event, "occurred_at", early)


@given(instants())
def test_instant_is_kept_in_utc_with_microseconds(instant: datetime) -> None:
    occurred_at = webhook_event(occurred_at=instant).occurred_at
    assert occurred_at == instant
    assert occurred_at.tzinfo is UTC
    assert occurred_at.microsecond == instant.astimezone(UTC).microsecond


# Numbers.


@pytest.mark.parametrize("value", [each for each in _NOT_NUMBERS if each is not None])
@pytest.mark.parametrize(("make", "field"), [(metric, "value"), (interaction, "duration_seconds")])
def test_number_not_a_number_raises(make: Make, field: str, value: Any) -> None:
    assert "must be a number" in refused(make, field, value)


@pytest.mark.parametrize("value", _NOT_STORABLE)
@pytest.mark.parametrize(("make", "field"), [(metric, "value"), (interaction, "duration_seconds")])
def test_number_not_storable_raises(make: Make, field: str, value: Any) -> None:
    assert "38 digits" in refused(make, field, value)


@given(numbers())
@example(Decimal(10**38 - 1))
@example(Decimal("1E-130"))
@example(Decimal("9." + "9" * 37 + "E+125"))
@example(Decimal("1." + "0" * 60))
def test_number_storable_is_exact(number: Decimal) -> None:
    assert metric(value=number).value == number
    assert Decimal(metric(value=number).to_item(1)["value"]["N"]) == number


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_whole_number_is_exact(number: int) -> None:
    assert exact_decimal(number, "value") == number


@given(st.floats(1e-100, 1e100) | st.floats(-1e100, -1e-100) | st.sampled_from((0.1 + 0.2, 0.0)))
def test_number_float_is_its_decimal_text(number: float) -> None:
    assert str(metric(value=number).value) == str(Decimal(str(number)))
    assert float(metric(value=number).value) == number


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_number_decimal_is_exact_or_raises(number: Decimal) -> None:
    try:
        kept = exact_decimal(number, "value")
    except InvalidValue:
        return
    assert kept == number
    assert len(kept.as_tuple().digits) <= 38
    assert kept.is_zero() or -130 <= kept.adjusted() <= 125


# Whole numbers.


@pytest.mark.parametrize(
    "value", [True, 1.0, "1", Decimal(1), 10**38 + 1, pytest.param(10**5000, id="10**5000")]
)
@pytest.mark.parametrize(
    ("make", "field"),
    [(job_run, "attempt"), (job_run, "fencing_token"), (webhook_event, "attempts")],
)
def test_whole_not_an_integer_raises(make: Make, field: str, value: Any) -> None:
    refused(make, field, value)


# One of several.


@pytest.mark.parametrize(
    ("make", "field", "allowed"),
    [
        (agent, "status", ["active", "inactive"]),
        (
            interaction,
            "channel",
            ["call", "email", "chat", "meeting", "ticket", "note", "task", "other"],
        ),
        (interaction, "direction", ["inbound", "outbound", "internal"]),
        (metric, "grain", ["hour", "day", "week", "month"]),
        (job_run, "status", ["running", "succeeded", "failed", "cancelled"]),
        (
            webhook_event,
            "status",
            ["pending", "processing", "processed", "failed", "dead"],
        ),
    ],
)
@pytest.mark.parametrize("value", ["nothing of it", "", "CALL", 7, [], True])
def test_choice_unknown_value_raises_with_allowed_values(
    make: Make, field: str, allowed: list[str], value: Any
) -> None:
    message = refused(make, field, value)
    assert f"must be one of {', '.join(allowed)}, got" in message


# Names and texts.


@pytest.mark.parametrize(
    "value",
    [
        *_NOT_MAPPINGS,
        [],
        "",
        0,
        False,
        {7: "a"},
        {"a": 7},
        {"a": None},
        {"": "a"},
        {"a": ""},
        {"a": "\ud800"},
        {"\ud800": "a"},
        {"a": {"b": "c"}},
    ],
)
def test_text_map_not_text_to_text_raises(value: Any) -> None:
    refused(agent, "external_ids", value)


def test_text_map_subclass_is_stored_as_plain_text() -> None:
    stored = agent(external_ids={_Team.NORTH: _OldTeam.NORTH}).to_item(1)["external_ids"]
    assert stored == {"M": {"north": {"S": "north"}}}
    ((name, text),) = stored["M"].items()
    assert type(name) is type(text["S"]) is str


# Documents.

_DOCUMENT_FIELDS: list[tuple[Make, str]] = [
    (interaction, "attributes"),
    (metric, "dimensions"),
    (job_run, "checkpoint"),
    (job_run, "stats"),
    (job_run, "error"),
    (webhook_event, "payload"),
]


@pytest.mark.parametrize(("make", "field"), _DOCUMENT_FIELDS)
@pytest.mark.parametrize(
    "value",
    [
        *_NOT_MAPPINGS,
        [],
        "",
        0,
        False,
        {7: "a"},
        {None: "a"},
        {"a": {7: "b"}},
        {"a": [{True: "b"}]},
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": {"b": Decimal("NaN")}},
        {"a": Decimal("-Infinity")},
        {"a": NOON},
        {"a": {"b"}},
        {"a": object()},
        {"a": b"bytes"},
        pytest.param({"a": 10**5000}, id="a whole number of 5,001 digits"),
        pytest.param({"a": Decimal("1" * 5000)}, id="a decimal of 5,000 digits"),
    ],
)
def test_document_not_json_raises(make: Make, field: str, value: Any) -> None:
    refused(make, field, value)


def test_document_containing_itself_raises() -> None:
    document: dict[str, Any] = {}
    document["itself"] = document
    refused(webhook_event, "payload", document)


@pytest.mark.parametrize("levels", [33, 100, 300])
def test_document_deeper_than_dynamodb_maps_is_stored(levels: int) -> None:
    document: dict[str, Any] = {}
    for _ in range(levels):
        document = {"in": document}
    assert webhook_event(payload=document).payload == document


@pytest.mark.parametrize("make_mapping", [MappingProxyType, dict])
def test_document_any_mapping_is_accepted(make_mapping: Callable[[dict[str, Any]], Any]) -> None:
    given_one = make_mapping({"a": make_mapping({"b": 1})})
    assert webhook_event(payload=given_one).payload == {"a": {"b": 1}}


@given(documents())
@example({"a": "\ud800", "ü": 10**60 + 1, "d": Decimal("1.10")})
def test_document_of_a_source_round_trips(document: dict[str, Any]) -> None:
    stored = webhook_event(payload=document).to_item(1)
    # As UTF-8, which is how it travels.
    stored["payload"]["S"].encode()
    read = type(webhook_event()).from_item(stored).payload
    assert read == document
    assert canonical_json(read) == stored["payload"]["S"]


@given(json_values())
def test_canonical_json_of_its_document_is_itself(value: Any) -> None:
    text = canonical_json({"value": value})
    read = webhook_event(payload={"value": value}).payload
    assert canonical_json(read) == text


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=2, max_size=5))
def test_canonical_json_ignores_the_order_of_names(document: dict[str, int]) -> None:
    turned = dict(reversed(document.items()))
    assert canonical_json(turned) == canonical_json(document)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({}, "{}"),
        ({"b": 1, "a": [1.5, None, True]}, '{"a":[1.5,null,true],"b":1}'),
        ({"a": Decimal("0.10")}, '{"a":0.10}'),
        ({"a": 0.1}, '{"a":0.1}'),
        ({"ü": "🦜"}, '{"ü":"🦜"}'),
        ({"ü": "\ud800"}, '{"\\u00fc":"\\ud800"}'),
        ({"a": ("x", "y")}, '{"a":["x","y"]}'),
    ],
)
def test_canonical_json_examples(document: dict[str, Any], text: str) -> None:
    assert canonical_json(document) == text


@given(texts(), texts())
def test_document_is_a_copy(name: str, text: str) -> None:
    inner = {name: text}
    document = {"inner": inner, "list": [1]}
    event = webhook_event(payload=document)
    inner[name] = "changed"
    document["more"] = {}
    assert event.payload == {"inner": {name: text}, "list": [1]}


def test_text_map_is_a_copy() -> None:
    ids = {"hubspot": "1"}
    one = agent(external_ids=ids)
    ids["hubspot"] = "2"
    assert one.external_ids == {"hubspot": "1"}


# Assignment is as strict as construction.


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (agent, "agent_id", ""),
        (agent, "agent_id", None),
        (agent, "status", None),
        (agent, "status", "gone"),
        (interaction, "started_at", NOON.replace(tzinfo=None)),
        (interaction, "started_at", None),
        (metric, "value", float("nan")),
        (metric, "value", None),
        (job_run, "attempt", 1.5),
        (job_run, "attempt", None),
        (webhook_event, "payload", None),
        (webhook_event, "payload", {7: 7}),
    ],
)
def test_field_invalid_assignment_raises(make: Make, field: str, value: Any) -> None:
    model = make()
    before = model.to_item(1)
    with pytest.raises(InvalidValue, match=field):
        setattr(model, field, value)
    assert model.to_item(1) == before


def test_field_optional_can_be_unset() -> None:
    one = agent()
    one.name = None
    assert "name" not in one.to_item(1)
