"""A webhook event, remembered so that its next delivery is known to be one."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self, cast

from quill_models.dynamodb.items import RawItem
from quill_models.models import key_schema
from quill_models.models.attributes import (
    Choice,
    Document,
    FilledText,
    Instant,
    OptionalInstant,
    OptionalText,
    Text,
    Whole,
    field,
)
from quill_models.models.base import QuillModel
from quill_models.settings import Settings
from quill_models.values.canonical import canonical_json, content_digest
from quill_models.values.keys import Key, parse_time

__all__ = ["EventStatus", "WebhookEvent"]


class EventStatus(StrEnum):
    """The status of a webhook event."""

    PENDING = "pending"
    PROCESSING = "processing"
    PROCESSED = "processed"
    FAILED = "failed"
    DEAD = "dead"


_TO_WORK_ON = frozenset({EventStatus.PENDING, EventStatus.PROCESSING, EventStatus.FAILED})
_BY_DUE_TIME = frozenset({EventStatus.PENDING, EventStatus.PROCESSING})


def _digest(fields: dict[str, Any]) -> str:
    return content_digest(canonical_json(fields["payload"], "payload"))


class WebhookEvent(QuillModel):
    """One event of a source.

    Attributes:
        source: Name of the source, a part of the identity.
        event_key: Key of the event, a part of the identity. A redelivery has the same key, and two
            events of a source never share one.
        event_type: Type of the event, such as ``contact.propertyChange``.
        object_type: Type of the object that the event is about, if it is about one.
        object_id: Id of the object.
        occurred_at: When the event happened, by the clock of the source.
        received_at: When the event was first received.
        payload: The received data, any JSON.
        digest: Digest of the content; by default of the payload. With the same identity, an equal
            digest is a duplicate and another one a conflict.
        status: ``pending``, ``processing``, ``processed``, ``failed`` or ``dead``.
        attempts: Number of attempts.
        last_error: Error of the last attempt.
        due_at: Earliest time a worker can claim the event: after its backoff, or when its lease
            expires. ``None`` if it is claimable at once.
        lease_id: Id of the lease, if a worker has claimed the event.
    """

    # The stored payload at the claim. A handler may change the payload of its event, but the stored
    # payload stays unchanged.
    claimed_payload = cast("str | None", None)

    KIND = "webhook_event"
    IDENTITY = ("source", "event_key")
    SHOWN = ("event_type", "occurred_at", "status")

    source: Text = field(Text())
    event_key: Text = field(Text())
    event_type: Text = field(Text())
    object_type: OptionalText = field(Text(), default=None)
    object_id: OptionalText = field(Text(), default=None)
    occurred_at: Instant = field(Instant(), partition=True)
    received_at: Instant = field(Instant())
    payload: Document = field(Document())
    digest: FilledText = field(Text(), default_factory=_digest)
    status: Choice[EventStatus] = field(Choice(EventStatus), default=EventStatus.PENDING)
    attempts: Whole = field(Whole(), default=0)
    last_error: OptionalText = field(Text(), default=None)
    due_at: OptionalInstant = field(Instant(), default=None, init=False, export=False)
    lease_id: OptionalText = field(Text(), default=None, init=False, export=False)

    def copy(self) -> Self:
        """See `QuillModel.copy`."""
        copied = super().copy()
        copied.claimed_payload = self.claimed_payload
        return copied

    def recorded_content(self) -> str:
        """Return the digest. A redelivery may differ in fields outside it."""
        return self.digest

    def as_claimed(self) -> Self:
        """Return a copy with the payload at the claim."""
        copied = self.copy()
        if self.claimed_payload is not None:
            payload = type(self).payload.deserialize(self.claimed_payload)
            copied.attribute_values["payload"] = payload
        return copied

    def to_item(self, shards: int) -> RawItem:
        """See `QuillModel.to_item`. The due time is stored only as the key of the work list.

        A usual event is just below 1 KB with all its keys. Above that, every write costs another
        unit for the table and for each index.
        """
        item = super().to_item(shards)
        item.pop("due_at", None)
        return item

    def deserialize(self, attribute_values: RawItem) -> None:
        """See `QuillModel.deserialize`."""
        super().deserialize(attribute_values)
        due = attribute_values.get("gsi2sk", {}).get("S")
        # The due time of a new event is when it was received.
        if due is not None and due != attribute_values["received_at"]["S"]:
            self.attribute_values["due_at"] = parse_time(due)

    def key(self) -> Key:
        """See `QuillModel.key`."""
        return key_schema.webhook_event(self.source, self.event_key)

    def expires(self, settings: Settings, now: datetime) -> datetime | None:
        """Return the expiry, from the write or from the due time if that is later.

        Until then a redelivery is recognised, and a due event waits for a worker.
        """
        if settings.webhook_retention is None:
            return None
        return max(now, self.due_at or now) + settings.webhook_retention

    def lists(self, shards: int) -> dict[str, tuple[str, str]]:
        """See `QuillModel.lists`."""
        shard = key_schema.shard(self.key(), shards)
        occurred = key_schema.event_order(self.occurred_at)
        due = key_schema.event_order(self.due_at or self.received_at)
        waits = self.status in _BY_DUE_TIME
        status = key_schema.events_of_status(self.source, self.status, shard)
        lists = {"gsi3": (status, due if waits else occurred)}
        if self.object_type is not None and self.object_id is not None:
            about = key_schema.events_of_object(self.source, self.object_type, self.object_id)
            lists["gsi1"] = (about, occurred)
        if self.status in _TO_WORK_ON:
            lists["gsi2"] = (key_schema.events_to_work_on(self.source, shard), due)
        return lists
