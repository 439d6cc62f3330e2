"""Example events and the samples."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib import resources
from typing import Any

import simplejson

from quill_models import hubspot
from quill_models.models import WebhookEvent

CHANGE: dict[str, Any] = {
    "eventId": 3029365631,
    "subscriptionId": 5120331,
    "portalId": 48210977,
    "appId": 4410286,
    "occurredAt": 1765043528476,
    "subscriptionType": "contact.propertyChange",
    "attemptNumber": 0,
    "objectId": 847297356,
    "propertyName": "lifecyclestage",
    "propertyValue": "lead",
    "changeSource": "CRM_UI",
    "sourceId": "userId:88276103",
    "score": Decimal("0.10"),
}

ASSOCIATION: dict[str, Any] = {
    "eventId": 44445555666,
    "portalId": 33,
    "appId": 1160452,
    "occurredAt": 1715100000000,
    "subscriptionType": "contact.associationChange",
    "attemptNumber": 0,
    "changeSource": "API",
    "associationType": "CONTACT_TO_COMPANY",
    "associationTypeId": 1,
    "associationCategory": "HUBSPOT_DEFINED",
    "associationRemoved": False,
    "isPrimaryAssociation": True,
    "fromObjectId": 1246965,
    "fromObjectTypeId": "0-1",
    "toObjectId": 7654321,
    "toObjectTypeId": "0-2",
}

MERGE: dict[str, Any] = {
    "eventId": 11112222333,
    "subscriptionId": 60,
    "portalId": 33,
    "appId": 1160452,
    "occurredAt": 1715050000000,
    "subscriptionType": "contact.merge",
    "attemptNumber": 0,
    "objectTypeId": "0-1",
    "primaryObjectId": 100,
    "mergedObjectIds": [200, 300],
    "newObjectId": 400,
    "numberOfPropertiesMoved": 14,
}

MESSAGE: dict[str, Any] = {
    "eventId": 77778888999,
    "subscriptionId": 90,
    "portalId": 33,
    "appId": 1160452,
    "occurredAt": 1715200000000,
    "subscriptionType": "conversation.newMessage",
    "attemptNumber": 0,
    "objectId": 6065362089,
    "messageId": "9b38dc6d5b5744a788931a9cf3a7b225",
    "messageType": "MESSAGE",
    "changeFlag": "NEW_MESSAGE",
}

EVENTS = (CHANGE, ASSOCIATION, MERGE, MESSAGE)


def body(*events: Any) -> bytes:
    text: str = simplejson.dumps(events, use_decimal=True)
    return text.encode()


def parsed(event: dict[str, Any]) -> WebhookEvent:
    (model,) = hubspot.parse(body(event))
    return model


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


def sample(name: str) -> bytes:
    return resources.files("quill_models").joinpath("samples", "hubspot", name).read_bytes()


def sample_events(name: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(sample(name))
    return events
