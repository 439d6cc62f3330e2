"""The events that every contender writes, and the events that the table contains before.

Each run parses them again, so that no value cached in a model helps a later run.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quill_models import Settings, WebhookEvent, hubspot
from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.shards import DEFAULT_SHARDS
from quill_models.dynamodb.table import Table

__all__ = ["INPUTS", "Row", "Work", "item_of", "row_of", "work"]

# The events stored before the run: none, all, or every other one.
INPUTS = ("new", "duplicate", "half")

# A delivery of HubSpot has up to a hundred events.
_DELIVERY = 100
_FIRST_MILLISECOND = 1_795_430_400_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """The events of one input.

    Attributes:
        events: Events to write, in this order.
        stored: Events that are stored before, as in their first delivery.
    """

    events: list[WebhookEvent]
    stored: list[WebhookEvent]


def work(name: str, events: int) -> Work:
    """Return the input of a name with a number of events."""
    numbers = range(events)
    before = {"new": numbers[:0], "duplicate": numbers, "half": numbers[::2]}[name]
    repeated = set(before)
    coming = [_sent(number, attempt=int(number in repeated)) for number in numbers]
    return Work(_parsed(coming), _parsed(_sent(number, attempt=0) for number in before))


def _sent(number: int, *, attempt: int) -> dict[str, object]:
    """Return an event as HubSpot sends it. A retry has another ``attemptNumber``."""
    return {
        "eventId": 3_000_000_000 + number,
        "subscriptionId": 5120331,
        "portalId": 48210977,
        "appId": 4410286,
        "occurredAt": _FIRST_MILLISECOND + number * 7,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": attempt,
        "objectId": 100_000_000 + number * 7919 % 1_000_000,
        "propertyName": "phone",
        "propertyValue": f"{number:06d}",
        "changeSource": "CRM_UI",
    }


def _parsed(sent: Iterable[dict[str, object]]) -> list[WebhookEvent]:
    every = list(sent)
    deliveries = (every[at : at + _DELIVERY] for at in range(0, len(every), _DELIVERY))
    return [event for each in deliveries for event in hubspot.parse(json.dumps(each))]


def row_of(event: WebhookEvent, settings: Settings) -> Row:
    """Return the attributes of the item that our model stores, as plain Python values.

    The keys are composed and the stamps are set already, so the other contenders save work that
    this package does for each event.
    """
    now = datetime.now(UTC)
    values = {
        **event.composed_keys(DEFAULT_SHARDS),
        **event.content(),
        "kind": event.KIND,
        "status": event.status.value,
        "created_at": now,
        "updated_at": now,
        "ttl": event.expires(settings, now),
        "write_token": secrets.token_urlsafe(8),
    }
    return {name: value for name, value in values.items() if value is not None}


def item_of(event: WebhookEvent, table: Table) -> RawItem:
    """Return the item that our model stores, in DynamoDB's wire format."""
    event = event.copy()
    event.stamp(table)
    return event.to_item(DEFAULT_SHARDS)
