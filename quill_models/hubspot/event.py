"""The model of one HubSpot event, and its identity.

``quill help idempotency`` shows why ``eventId`` alone is not an identity.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import simplejson

from quill_models.models import WebhookEvent
from quill_models.values.canonical import content_digest, identity_digest
from quill_models.values.clock import EPOCH
from quill_models.values.errors import InvalidPayload, InvalidValue

__all__ = ["SOURCE", "describe", "webhook_event"]

SOURCE = "hubspot"
"""The ``source`` of HubSpot's events."""

# Equal JSON values have the same ASCII text. Numbers keep their spelling: 1.0 is not 1.
_CANONICAL = simplejson.JSONEncoder(use_decimal=True, sort_keys=True, separators=(",", ":"))
_LAST_MILLISECOND = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)

_EVENT_TYPE = re.compile(r"[A-Za-z0-9_-]{1,100}(\.[A-Za-z0-9_-]{1,100})+")
# The key starts with it unchanged, so that you find an event by the number that HubSpot shows.
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_ID = 256

_Identifying = str | int | bool | list[str]


def webhook_event(event: Any, received_at: datetime) -> WebhookEvent:
    """Return the model of one parsed event.

    Raises:
        InvalidPayload: The event is invalid. The error has no position.
    """
    try:
        return WebhookEvent(**_fields(event, received_at))
    except InvalidValue as error:
        raise InvalidPayload(str(error)) from error
    except RecursionError:
        raise InvalidPayload("the event is nested too deeply to parse") from None


def _fields(event: Any, received_at: datetime) -> dict[str, Any]:
    if not isinstance(event, dict):
        raise InvalidPayload(f"{describe(event)}; expected an event, which is an object")
    event_id = _event_id(event)
    type_field, event_type = _event_type(event)
    occurred_at = _occurred_at(event)
    identity: dict[str, _Identifying] = {
        "eventId": event_id,
        "subscriptionType": event_type,
        "occurredAt": occurred_at,
    }
    for name, read in _OTHER_IDENTIFYING.items():
        if event.get(name) is not None:
            identity[name] = read(name, event[name])
    object_type = event_type.partition(".")[0]
    if object_type == "object":
        object_type = _first(identity, "objectTypeId", "fromObjectTypeId") or object_type
    excluded = _NOT_CONTENT | {type_field}
    content = {name: value for name, value in event.items() if name not in excluded}
    # Pairs of name and value keep absent fields and adjacent values unambiguous.
    identity_text = _CANONICAL.encode(sorted(identity.items()))
    content_text = _CANONICAL.encode(content)
    return {
        "source": SOURCE,
        "event_key": f"{event_id}.{identity_digest(identity_text)}",
        "event_type": event_type,
        "object_type": object_type,
        "object_id": _first(identity, "objectId", "newObjectId", "primaryObjectId", "fromObjectId"),
        "occurred_at": EPOCH + timedelta(milliseconds=occurred_at),
        "received_at": received_at,
        "payload": event,
        "digest": content_digest(f"[{identity_text},{content_text}]"),
    }


def _event_id(event: dict[str, Any]) -> str:
    found = _required(event, "eventId")
    event_id = _as_text(found)
    if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
        raise _invalid("eventId", found, "a number, or up to 64 letters, digits, '-' and '_'")
    return event_id


def _event_type(event: dict[str, Any]) -> tuple[str, str]:
    # HubSpot's documentation says eventType, its deliveries have subscriptionType or both.
    name = "eventType" if event.get("subscriptionType") is None else "subscriptionType"
    found = event.get(name)
    if found is None:
        raise InvalidPayload("subscriptionType is missing, and so is eventType")
    if not isinstance(found, str) or not _EVENT_TYPE.fullmatch(found):
        raise _invalid(name, found, "text such as 'contact.propertyChange'")
    return name, found


def _occurred_at(event: dict[str, Any]) -> int:
    found = _required(event, "occurredAt")
    if type(found) is not int or not 0 <= found <= _LAST_MILLISECOND:
        expected = f"a whole number of milliseconds since 1970, from 0 to {_LAST_MILLISECOND}"
        raise _invalid("occurredAt", found, expected)
    return found


def _required(event: dict[str, Any], name: str) -> Any:
    if event.get(name) is None:
        raise InvalidPayload(f"{name} is {'null' if name in event else 'missing'}")
    return event[name]


def _as_text(found: Any) -> Any:
    """Convert a whole number to text, because 123 and "123" are the same id."""
    return str(found) if type(found) is int else found


def _id(name: str, found: Any) -> str:
    found = _as_text(found)
    if not isinstance(found, str) or len(found) > _LONGEST_ID or not found.isprintable():
        expected = f"a whole number, or text of up to {_LONGEST_ID} printable characters"
        raise _invalid(name, found, expected)
    return found


def _ids(name: str, found: Any) -> list[str]:
    """Return ids sorted, because their order is not part of the identity."""
    if not isinstance(found, list):
        raise _invalid(name, found, "an array of ids")
    return sorted(_id(f"{name}[{number}]", one) for number, one in enumerate(found))


def _text(name: str, found: Any) -> str:
    if not isinstance(found, str):
        raise _invalid(name, found, "text")
    return found


def _flag(name: str, found: Any) -> bool:
    if not isinstance(found, bool):
        raise _invalid(name, found, "true or false")
    return found


# Identifying fields besides eventId, subscriptionType and occurredAt, which every event has.
# ``null`` counts as absent; an empty text does not.
_OTHER_IDENTIFYING: dict[str, Callable[[str, Any], _Identifying]] = {
    # Account and subscription.
    "portalId": _id,
    "appId": _id,
    "subscriptionId": _id,
    # Object.
    "objectId": _id,
    "objectTypeId": _id,
    # Changes at the same time.
    "propertyName": _text,
    "messageId": _id,
    # Association, its direction, and whether it was created or removed.
    "associationType": _text,
    "associationTypeId": _id,
    "associationCategory": _text,
    "associationRemoved": _flag,
    "isPrimaryAssociation": _flag,
    "fromObjectId": _id,
    "fromObjectTypeId": _id,
    "toObjectId": _id,
    "toObjectTypeId": _id,
    # Merge.
    "primaryObjectId": _id,
    "mergedObjectIds": _ids,
    "newObjectId": _id,
}

# A retry changes attemptNumber. The digest includes the identity in its normal form.
_NOT_CONTENT = frozenset({"attemptNumber", "eventId", "subscriptionType", "occurredAt"}).union(
    _OTHER_IDENTIFYING
)


def _first(identity: dict[str, _Identifying], *names: str) -> str | None:
    return next((str(identity[name]) for name in names if identity.get(name)), None)


def _invalid(name: str, found: Any, expected: str) -> InvalidPayload:
    return InvalidPayload(f"{name} is {describe(found)}; expected {expected}")


def describe(value: Any) -> str:
    """Describe a JSON value for a message."""
    if isinstance(value, str):
        return f"the text {_shortened(value)!r}"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"the number {_shortened(str(value))}"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return "null" if value is None else str(value).lower()


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
