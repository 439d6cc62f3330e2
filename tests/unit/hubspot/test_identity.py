"""The identity and the digest of HubSpot events."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quill_models import hubspot

from .events import (
    ASSOCIATION,
    CHANGE,
    EVENTS,
    MERGE,
    MESSAGE,
    body,
    parsed,
    sample,
    sample_events,
    without,
)


def key(event: dict[str, Any]) -> str:
    return parsed(event).event_key


def digest(event: dict[str, Any]) -> str:
    return parsed(event).digest


def identities(text: bytes) -> dict[str, str]:
    return {event.event_key: event.digest for event in hubspot.parse(text)}


# Identities are stored. If a version computed others, every retry would become a new event.


@pytest.mark.parametrize(
    ("event", "event_key", "content"),
    [
        (
            CHANGE,
            "3029365631.Rbnzk16ikHvCJHbZ3mZynfNgTfRONfkMhvFnty5Ad8k",
            "Dfi6i3Fy1uZKUXIJG3vShA",
        ),
        (
            ASSOCIATION,
            "44445555666.Ihr5u06DuibceVeDZ7UjcdvqSORDZ5vmPCmcFInxWzU",
            "jQTtpvRDD6yz0arrWkZhTg",
        ),
        (
            MERGE,
            "11112222333.w44b3Np1bStm6Eg_fMaiveWPbOkpxHjqH4wB4Eb8Fmg",
            "YpX1Tnvzrh8JZL06UCsN-w",
        ),
        (
            MESSAGE,
            "77778888999.T_JXpqMjm65ktuIO2ZDH4Qm17mM_3iza5dAOh9Ekhws",
            "VXusfh-YZUd6fivUQnOGOA",
        ),
    ],
)
def test_identity_known_events_never_changes(
    event: dict[str, Any], event_key: str, content: str
) -> None:
    assert key(event) == event_key
    assert digest(event) == content


# Retries.


@pytest.mark.parametrize("name", ["property_changes.json", "mixed_objects.json"])
def test_identity_sample_retries_is_equal(name: str) -> None:
    assert sample_events(f"retry_of_{name}") != sample_events(name)
    assert identities(sample(f"retry_of_{name}")) == identities(sample(name))


@settings(deadline=None)
@given(st.lists(st.integers(0, 10), min_size=4, max_size=4), st.randoms())
def test_identity_reordered_retries_is_equal(attempts: list[int], rng: random.Random) -> None:
    retried = [
        event | {"attemptNumber": attempt} for event, attempt in zip(EVENTS, attempts, strict=True)
    ]
    rng.shuffle(retried)
    reordered = [dict(rng.sample(list(event.items()), len(event))) for event in retried]

    assert identities(body(*reordered)) == identities(body(*EVENTS))


def test_identity_missing_attempt_number_is_equal() -> None:
    assert identities(body(without(CHANGE, "attemptNumber"))) == identities(body(CHANGE))


def test_key_presses_of_test_button_differ() -> None:
    (event,) = sample_events("test_button.json")

    assert key(event) != key(event | {"occurredAt": event["occurredAt"] + 1})


def test_key_two_properties_changed_at_once_differ() -> None:
    first, second, *_ = sample_events("property_changes.json")

    assert first["eventId"] == second["eventId"]
    assert first["occurredAt"] == second["occurredAt"]
    assert key(first) != key(second)
    assert key(CHANGE) != key(CHANGE | {"propertyName": "hubspot_owner_id"})


def test_key_directions_of_association_differ() -> None:
    other = ASSOCIATION | {
        "fromObjectId": ASSOCIATION["toObjectId"],
        "toObjectId": ASSOCIATION["fromObjectId"],
    }

    assert key(ASSOCIATION) != key(other)
    assert key(ASSOCIATION) != key(ASSOCIATION | {"associationRemoved": True})


# Spellings of ids.

NUMERIC_IDS = [
    *((CHANGE, name) for name in ("eventId", "subscriptionId", "portalId", "appId", "objectId")),
    *((ASSOCIATION, name) for name in ("fromObjectId", "toObjectId", "associationTypeId")),
    *((MERGE, name) for name in ("primaryObjectId", "newObjectId")),
]


@pytest.mark.parametrize(("event", "name"), NUMERIC_IDS)
@settings(deadline=None)
@given(number=st.integers(0, 2**63))
def test_identity_id_as_number_or_text_is_equal(
    event: dict[str, Any], name: str, number: int
) -> None:
    as_number, as_text = event | {name: number}, event | {name: str(number)}

    assert key(as_number) == key(as_text)
    assert digest(as_number) == digest(as_text)
    assert parsed(as_number).object_id == parsed(as_text).object_id


def test_identity_merged_ids_in_any_order_is_equal() -> None:
    other = MERGE | {"mergedObjectIds": ["300", 200]}

    assert key(MERGE) == key(other)
    assert digest(MERGE) == digest(other)
    assert key(MERGE) != key(MERGE | {"mergedObjectIds": [200]})
    assert key(MERGE) != key(MERGE | {"mergedObjectIds": [200300]})
    assert key(MERGE) != key(MERGE | {"mergedObjectIds": [200, 200, 300]})


def test_identity_event_type_or_subscription_type_is_equal() -> None:
    renamed = without(CHANGE, "subscriptionType") | {"eventType": CHANGE["subscriptionType"]}

    assert identities(body(renamed)) == identities(body(CHANGE))


OPTIONAL_IDENTIFYING = {
    (event["subscriptionType"], name): (event, name)
    for event in EVENTS
    for name in event
    if name
    not in {
        *("eventId", "occurredAt", "subscriptionType", "attemptNumber", "propertyValue", "score"),
        *("changeSource", "changeFlag", "sourceId", "messageType", "numberOfPropertiesMoved"),
    }
}


@pytest.mark.parametrize(("event", "name"), OPTIONAL_IDENTIFYING.values())
def test_identity_null_is_absent_but_empty_is_not(event: dict[str, Any], name: str) -> None:
    absent = without(event, name)
    empty = [] if name == "mergedObjectIds" else ""

    assert identities(body(absent)) == identities(body(absent | {name: None}))
    assert key(absent) != key(event)
    if not isinstance(event[name], bool):
        assert len({key(absent), key(event), key(absent | {name: empty})}) == 3


# Any two events.

IDS = st.integers(0, 2**63) | st.text('0123456789abc-,[]" é', max_size=12)
ABSENT_OR_IDS = st.none() | IDS
FLAGS = st.none() | st.booleans()
TEXTS = st.none() | st.text(max_size=12)
EVENT_IDS = st.integers(0, 2**63) | st.text("0123456789abc-_", min_size=1, max_size=12)
TYPES = st.sampled_from(["a.b", "a.c", "ab.c", "contact.merge", "object.merge"])

IDENTIFYING: dict[str, st.SearchStrategy[Any]] = {
    "eventId": EVENT_IDS,
    "occurredAt": st.integers(0, 2**47),
    "subscriptionType": TYPES,
    **dict.fromkeys(("portalId", "appId", "subscriptionId", "objectId"), ABSENT_OR_IDS),
    **dict.fromkeys(("objectTypeId", "messageId", "associationTypeId"), ABSENT_OR_IDS),
    **dict.fromkeys(("fromObjectId", "fromObjectTypeId"), ABSENT_OR_IDS),
    **dict.fromkeys(("toObjectId", "toObjectTypeId"), ABSENT_OR_IDS),
    **dict.fromkeys(("primaryObjectId", "newObjectId"), ABSENT_OR_IDS),
    **dict.fromkeys(("associationRemoved", "isPrimaryAssociation"), FLAGS),
    **dict.fromkeys(("propertyName", "associationType", "associationCategory"), TEXTS),
    "mergedObjectIds": st.none() | st.lists(IDS, max_size=3),
}
IDENTITIES = st.fixed_dictionaries(
    {name: IDENTIFYING[name] for name in ("eventId", "occurredAt", "subscriptionType")},
    optional=without(IDENTIFYING, "eventId", "occurredAt", "subscriptionType"),
)
VALUES = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text()
CONTENT_NAMES = (
    *("propertyValue", "changeSource", "changeFlag", "sourceId", "isSensitive", "messageType"),
    *("numberOfPropertiesMoved", "eventType", "fieldOfTomorrow", "portalid"),
)
FINITE = VALUES.filter(lambda value: not isinstance(value, Decimal) or value.is_finite())
CONTENTS = st.dictionaries(st.sampled_from(CONTENT_NAMES), FINITE)


def normal(name: str, value: Any) -> Any:
    """Return the normal form of a value, equal for all its spellings."""
    if name == "mergedObjectIds" and value is not None:
        return sorted(str(one) for one in value)
    if name != "occurredAt" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def normal_identity(event: dict[str, Any]) -> dict[str, Any]:
    return {
        name: normal(name, value)
        for name, value in event.items()
        if name in IDENTIFYING and value is not None
    }


@settings(deadline=None, max_examples=150)
@given(IDENTITIES, st.data())
def test_key_other_identifying_value_differs(event: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(IDENTIFYING)))
    other = event | {name: data.draw(IDENTIFYING[name])}
    assume(normal_identity(event) != normal_identity(other))

    assert key(event) != key(other)
    assert digest(event) != digest(other)


@settings(deadline=None, max_examples=150)
@given(IDENTITIES, IDENTITIES)
def test_key_is_equal_only_for_equal_identities(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    same = normal_identity(first) == normal_identity(second)

    assert (key(first) == key(second)) is same


@settings(deadline=None)
@given(IDENTITIES, CONTENTS, CONTENTS)
def test_digest_changes_with_content_but_key_does_not(
    identity: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    one, other = parsed(identity | first), parsed(identity | second)

    assert one.event_key == other.event_key
    # The JSON text counts: 1 and true, or 1 and 1.0, are different content.
    assert (one.digest == other.digest) is (
        body(dict(sorted(first.items()))) == body(dict(sorted(second.items())))
    )


@settings(deadline=None)
@given(IDENTITIES, CONTENTS)
def test_key_starts_with_event_id(identity: dict[str, Any], content: dict[str, Any]) -> None:
    event_id, _, rest = key(identity | content).rpartition(".")

    assert event_id == str(identity["eventId"])
    assert len(rest) == 43


def test_key_adjacent_fields_are_unambiguous() -> None:
    assert key(CHANGE | {"portalId": 12, "appId": 3}) != key(CHANGE | {"portalId": 1, "appId": 23})
    quoted = CHANGE | {"propertyName": 'a"],["sourceId","b'}
    assert key(quoted) != key(CHANGE | {"propertyName": "a"})
    moved = without(ASSOCIATION, "fromObjectId", "toObjectId")
    assert key(moved | {"fromObjectId": 1}) != key(moved | {"toObjectId": 1})
