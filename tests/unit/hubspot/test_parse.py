"""`hubspot.parse`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models import hubspot
from quill_models.errors import InvalidPayload, InvalidValue
from quill_models.hubspot.event import webhook_event

from .events import ASSOCIATION, CHANGE, MERGE, MESSAGE, body, parsed, sample, without

RECEIVED = datetime(2027, 3, 1, 8, 30, 0, 250_000, tzinfo=UTC)
LAST = 253_402_300_799_999

SAMPLES = {
    "property_changes.json": 5,
    "retry_of_property_changes.json": 5,
    "mixed_objects.json": 7,
    "retry_of_mixed_objects.json": 7,
    "test_button.json": 1,
}


def error_of(text: bytes | str) -> InvalidPayload:
    with pytest.raises(InvalidPayload) as caught:
        hubspot.parse(text)
    return caught.value


# Models.


@pytest.mark.parametrize(("name", "count"), SAMPLES.items())
def test_parse_samples_returns_events_in_order(name: str, count: int) -> None:
    events = hubspot.parse(sample(name), received_at=RECEIVED)

    assert len(events) == count
    assert [event.payload for event in events] == json.loads(sample(name))
    assert len({event.event_key for event in events}) == count


def test_parse_property_change_sets_fields() -> None:
    (event,) = hubspot.parse(body(CHANGE), received_at=RECEIVED)

    assert event.source == "hubspot"
    assert event.event_type == "contact.propertyChange"
    assert event.object_type == "contact"
    assert event.object_id == "847297356"
    assert event.occurred_at == datetime(2025, 12, 6, 17, 52, 8, 476_000, tzinfo=UTC)
    assert event.received_at == RECEIVED
    assert event.payload == CHANGE
    assert event.status == "pending"


@pytest.mark.parametrize(
    ("event", "object_type", "object_id"),
    [
        (CHANGE, "contact", "847297356"),
        (CHANGE | {"objectId": 58061514894 * 10**6}, "contact", "58061514894000000"),
        (ASSOCIATION, "contact", "1246965"),
        (MERGE, "contact", "400"),
        (without(MERGE, "newObjectId"), "contact", "100"),
        (MERGE | {"objectId": 7}, "contact", "7"),
        (MESSAGE, "conversation", "6065362089"),
        (without(CHANGE, "objectId"), "contact", None),
        (CHANGE | {"objectId": None}, "contact", None),
        (CHANGE | {"objectId": ""}, "contact", None),
        (
            CHANGE | {"subscriptionType": "object.creation", "objectTypeId": "2-77"},
            "2-77",
            "847297356",
        ),
        (ASSOCIATION | {"subscriptionType": "object.associationChange"}, "0-1", "1246965"),
        (CHANGE | {"subscriptionType": "object.creation"}, "object", "847297356"),
    ],
)
def test_parse_event_sets_object_type_and_id(
    event: dict[str, Any], object_type: str, object_id: str | None
) -> None:
    model = parsed(event)

    assert model.object_type == object_type
    assert model.object_id == object_id


def test_parse_event_type_replaces_missing_subscription_type() -> None:
    event = without(CHANGE, "subscriptionType") | {"eventType": "deal.creation"}

    assert parsed(event).event_type == "deal.creation"
    assert parsed(event | {"subscriptionType": None}).event_type == "deal.creation"
    assert parsed(event | {"subscriptionType": "deal.merge"}).event_type == "deal.merge"


@settings(deadline=None)
@given(st.integers(0, LAST))
def test_parse_milliseconds_are_exact(milliseconds: int) -> None:
    occurred_at = parsed(CHANGE | {"occurredAt": milliseconds}).occurred_at

    assert occurred_at.utcoffset() == timedelta(0)
    since_1970 = occurred_at - datetime(1970, 1, 1, tzinfo=UTC)
    assert since_1970 // timedelta(microseconds=1) == milliseconds * 1000


def test_parse_numbers_are_exact_and_unknown_fields_kept() -> None:
    text = '[{"eventId":1,"subscriptionType":"a.b","occurredAt":2,"new":{"x":[0.10,1e2,null]}}]'

    (event,) = hubspot.parse(text)

    assert event.payload["new"] == {"x": [Decimal("0.10"), Decimal(100), None]}
    assert str(event.payload["new"]["x"][0]) == "0.10"


@freeze_time("2027-03-01 08:30:00.25")
def test_parse_received_at_defaults_to_now() -> None:
    assert parsed(CHANGE).received_at == RECEIVED


def test_parse_received_at_is_utc_and_naive_raises() -> None:
    berlin = RECEIVED.astimezone(timezone(timedelta(hours=1)))

    assert hubspot.parse(body(CHANGE), berlin)[0].received_at.utcoffset() == timedelta(0)
    with pytest.raises(InvalidValue, match="received_at has no time zone"):
        hubspot.parse(body(), datetime(2027, 3, 1))  # noqa: DTZ001


# Bodies.


@pytest.mark.parametrize(
    "text",
    [
        body(CHANGE),
        body(CHANGE).decode(),
        b"\xef\xbb\xbf" + body(CHANGE),
        "\ufeff" + body(CHANGE).decode(),
        b" \r\n\t" + body(CHANGE) + b"\r\n",
    ],
)
def test_parse_text_bytes_and_byte_order_mark_are_equal(text: bytes | str) -> None:
    assert hubspot.parse(text, RECEIVED) == hubspot.parse(body(CHANGE), RECEIVED)


def test_parse_empty_array_returns_no_events() -> None:
    assert hubspot.parse(b"[]") == []


def test_parse_more_than_hundred_events_returns_all() -> None:
    events = hubspot.parse(body(*(CHANGE | {"objectId": number} for number in range(250))))

    assert [event.object_id for event in events] == [str(number) for number in range(250)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "empty; expected a JSON array of events"),
        (b"\xef\xbb\xbf \n", "empty; expected a JSON array of events"),
        (b"{}", "an object; expected a JSON array of events"),
        (b"null", "null; expected a JSON array of events"),
        (b"true", "true; expected a JSON array of events"),
        (b"-1.5", "the number -1.5; expected a JSON array of events"),
        (b'"events"', "the text 'events'; expected a JSON array of events"),
        (b"events", "line 1, column 1: not JSON: Expecting value"),
        (b'[\n{"a" 1}]', "line 2, column 6: not JSON: Expecting ':' delimiter"),
        (b"[] []", "line 1, column 4: not JSON: Extra data"),
        (b'[{"a": "b', "line 1, column 8: not JSON: Unterminated string"),
        (b'["a\nb"]', "line 1, column 4: a control character, or the end of the line, inside a"),
        (b"[{", "line 1, column 3: the JSON text ends too early: "),
        (b"[\n\n", "line 3, column 1: the JSON text ends too early: "),
        (b"[\n1, NaN]", "line 2, column 4: NaN is not a JSON number"),
        (b"[Infinity]", "line 1, column 2: Infinity is not a JSON number"),
        (b"[-Infinity]", "line 1, column 2: -Infinity is not a JSON number"),
        (b"[\xe9]", "not UTF-8: byte 1 is 0xe9"),
        ("[]".encode("utf-16"), "not UTF-8: byte 0 is 0xff"),
        ('["\ud800"]', "not valid Unicode text: character 2 is an unpaired surrogate"),
        (b"[" * 100_000, "nested too deeply to parse"),
        (b'[{"a":' * 100_000, "nested too deeply to parse"),
        (b"[" + b"9" * 5000 + b"]", "a number is too large to parse"),
        (b"[1.5e9999999999999999999]", "a number is too large to parse"),
        (b'[{}, {"x": [{"a": 1, "a": 1}]}]', "event 1: the name 'a' occurs more than once in one"),
        (b'{"a": 1, "a": 1}', "the name 'a' occurs more than once in one object"),
    ],
)
def test_parse_invalid_body_raises(text: bytes | str, message: str) -> None:
    assert str(error_of(text)).startswith(message)


def test_parse_parsed_body_raises_invalid_value() -> None:
    with pytest.raises(InvalidValue, match="bytes or text, got list"):
        hubspot.parse([CHANGE])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Events.

IDS = [
    *("portalId", "appId", "subscriptionId", "objectId", "objectTypeId", "messageId"),
    *("associationTypeId", "fromObjectId", "fromObjectTypeId", "toObjectId", "toObjectTypeId"),
    *("primaryObjectId", "newObjectId"),
]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"eventId": True}, "eventId is true; expected a number, or up to 64 letters"),
        ({"eventId": None}, "eventId is null"),
        ({"eventId": ""}, "eventId is the text ''; expected a number"),
        ({"eventId": "a b"}, "eventId is the text 'a b'; expected a number"),
        ({"eventId": "1\n"}, "eventId is the text '1\\n'; expected a number"),
        ({"eventId": "9" * 65}, "eventId is the text '99999"),
        ({"eventId": Decimal("1.0")}, "eventId is the number 1.0; expected a number"),
        ({"eventId": [1]}, "eventId is an array; expected a number"),
        ({"eventId": {"id": 1}}, "eventId is an object; expected a number"),
        ({"occurredAt": None}, "occurredAt is null"),
        ({"occurredAt": True}, "occurredAt is true; expected a whole number of milliseconds"),
        ({"occurredAt": -1}, "occurredAt is the number -1; expected a whole number of millisec"),
        ({"occurredAt": LAST + 1}, "occurredAt is the number 253402300800000; expected a whole"),
        ({"occurredAt": 10**30}, "occurredAt is the number 1000000000000000000000000000000; exp"),
        ({"occurredAt": Decimal("1.5")}, "occurredAt is the number 1.5; expected a whole number"),
        ({"occurredAt": "1765043528476"}, "occurredAt is the text '1765043528476'; expected a"),
        ({"occurredAt": "yesterday"}, "occurredAt is the text 'yesterday'; expected a whole num"),
        ({"occurredAt": []}, "occurredAt is an array; expected a whole number of milliseconds"),
        ({"subscriptionType": 7}, "subscriptionType is the number 7; expected text such as"),
        ({"subscriptionType": "contact"}, "subscriptionType is the text 'contact'; expected"),
        ({"subscriptionType": "contact."}, "subscriptionType is the text 'contact.'; expected"),
        ({"subscriptionType": ".a"}, "subscriptionType is the text '.a'; expected text such as"),
        ({"subscriptionType": "a.b\n"}, "subscriptionType is the text 'a.b\\n'; expected text"),
        ({"subscriptionType": "a. b"}, "subscriptionType is the text 'a. b'; expected text such"),
        ({"subscriptionType": None}, "subscriptionType is missing, and so is eventType"),
        ({"subscriptionType": None, "eventType": 5}, "eventType is the number 5; expected text"),
        ({"propertyName": 5}, "propertyName is the number 5; expected text"),
        ({"associationType": ["x"]}, "associationType is an array; expected text"),
        ({"associationCategory": 1}, "associationCategory is the number 1; expected text"),
        ({"associationRemoved": "no"}, "associationRemoved is the text 'no'; expected true or f"),
        ({"isPrimaryAssociation": 0}, "isPrimaryAssociation is the number 0; expected true or f"),
        ({"mergedObjectIds": 5}, "mergedObjectIds is the number 5; expected an array of ids"),
        ({"mergedObjectIds": [1, None]}, "mergedObjectIds[1] is null; expected a whole number"),
        ({"objectId": "x" * 257}, "objectId is the text 'xxxxx"),
        ({"objectId": "\ud800"}, "objectId is the text '\\ud800'; expected a whole number"),
        *(({name: True}, f"{name} is true; expected a whole number, or text") for name in IDS),
        *(({name: Decimal("1.0")}, f"{name} is the number 1.0; expected a whole") for name in IDS),
        *(({name: [1]}, f"{name} is an array; expected a whole number, or text") for name in IDS),
        *(({name: {}}, f"{name} is an object; expected a whole number, or text") for name in IDS),
        *(({name: "a\x00"}, f"{name} is the text 'a\\x00'; expected a whole") for name in IDS),
    ],
)
def test_parse_invalid_field_raises_position_and_reason(
    change: dict[str, Any], reason: str
) -> None:
    error = error_of(body(CHANGE, MERGE, CHANGE | change))

    assert error.position == "event 2"
    assert error.reason.startswith(reason)
    assert len(error.reason) < 200


@pytest.mark.parametrize("name", ["eventId", "occurredAt", "subscriptionType"])
def test_parse_missing_field_raises(name: str) -> None:
    error = error_of(body(CHANGE, without(CHANGE, name)))

    assert error.position == "event 1"
    assert error.reason.startswith(f"{name} is missing")


@pytest.mark.parametrize(
    "name", sorted(CHANGE.keys() - {"eventId", "occurredAt", "subscriptionType"})
)
def test_parse_other_missing_field_is_accepted(name: str) -> None:
    assert parsed(without(CHANGE, name)).payload == without(CHANGE, name)


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (None, "null"),
        (False, "false"),
        (3, "the number 3"),
        ("x" * 100, "the text '" + "x" * 57 + "...'"),
        ([CHANGE], "an array"),
    ],
)
def test_parse_event_not_an_object_raises(event: Any, shown: str) -> None:
    error = error_of(body(CHANGE, event))

    assert str(error) == f"event 1: {shown}; expected an event, which is an object"


def test_parse_invalid_model_raises_position() -> None:
    # Each field is valid, but together they exceed a partition key of DynamoDB.
    long = "\U0001f600" * 256
    change = {"subscriptionType": "object.creation", "objectTypeId": long, "objectId": long}

    error = error_of(body(CHANGE, CHANGE | change))

    assert error.position == "event 1"
    assert isinstance(error.__cause__, InvalidValue)


# Any input.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NEARLY_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys([*MERGE, *ASSOCIATION, "objectId", "propertyName"], JSON),
        "eventId": st.integers() | JSON,
        "occurredAt": st.integers() | JSON,
        "subscriptionType": st.just("contact.merge") | JSON,
        "objectId": st.integers() | st.text(min_size=200) | JSON,
    },
)


def check_parses_or_raises(text: bytes | str) -> None:
    """Check that a text parses, or raises `InvalidPayload` with a short reason."""
    raised = None
    events = []
    try:
        events = hubspot.parse(text)
    except InvalidPayload as error:
        raised = error
    assert raised is None or 0 < len(raised.reason) < 300
    assert all(event.source == "hubspot" for event in events)


def nested(depth: int) -> bytes:
    return body(CHANGE).replace(b'"lead"', b"[" * depth + b"]" * depth)


def test_parse_deep_nesting_is_kept() -> None:
    (event,) = hubspot.parse(nested(100))

    assert event.payload["propertyValue"][0][0][0] != []


@pytest.mark.parametrize("depth", range(200, 1200, 25))
def test_parse_deeper_nesting_returns_or_raises(depth: int) -> None:
    check_parses_or_raises(nested(depth))


def test_webhook_event_deepest_nesting_raises() -> None:
    # Deeper than the JSON parser allows, to reach the steps after it.
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(InvalidPayload, match="nested too deeply to parse"):
        webhook_event(CHANGE | {"propertyValue": deep}, RECEIVED)


@settings(deadline=None)
@given(st.binary() | st.text())
def test_parse_any_text_returns_or_raises(text: bytes | str) -> None:
    check_parses_or_raises(text)


@settings(deadline=None)
@given(st.binary(), st.integers(0), st.integers(0, 3))
def test_parse_damaged_body_returns_or_raises(damage: bytes, offset: int, removed: int) -> None:
    original = body(CHANGE, MERGE)
    at = offset % len(original)
    check_parses_or_raises(original[:at] + damage + original[at + removed :])


@settings(deadline=None)
@given(JSON | st.lists(JSON) | st.lists(NEARLY_EVENTS))
def test_parse_any_json_returns_or_raises(value: Any) -> None:
    check_parses_or_raises(json.dumps(value))
    check_parses_or_raises(json.dumps(value, ensure_ascii=False))
