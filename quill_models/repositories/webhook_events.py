"""Webhook events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quill_models import key_schema
from quill_models.attributes import choice
from quill_models.chunk import Prefer
from quill_models.models import EventStatus, WebhookEvent
from quill_models.query import Query
from quill_models.repositories.bulk import iter_many, list_many
from quill_models.repositories.facts import RecordFact
from quill_models.results import WriteResult
from quill_models.table import Table
from quill_models.writes import send

__all__ = ["WebhookEvents"]


class _RecordEvent(RecordFact[WebhookEvent]):
    """The content of an event is its digest: a redelivery may differ in what does not count."""

    def same_content(self, existing: WebhookEvent) -> bool:
        return existing.digest == self.model.digest


class WebhookEvents:
    """The webhook events of the table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def record(self, event: WebhookEvent) -> WriteResult[WebhookEvent]:
        """Record an event, once. One request and one write unit per KB, and as many per index.

        Returns:
            ``created``, ``duplicate`` (seen before), or ``conflict`` (the identity was seen
            with another digest; what is stored stays).

        Raises:
            InvalidPayload: the event is over 400 KB.
        """
        return send(self._table, _RecordEvent(self._table, event))

    def record_many(
        self, events: Iterable[WebhookEvent], *, prefer: Prefer | str = Prefer.SPEED
    ) -> list[WriteResult[WebhookEvent]]:
        """As `record` for each, in input order.

        For each hundred one transaction where all are new or all known, two for a mixture, at
        twice the write units.

        Raises:
            InvalidPayload: an event is over 400 KB.
            PartialWriteError: the table stopped answering.
        """
        return list_many(self._table, _RecordEvent, events, prefer)

    def iter_record_many(
        self, events: Iterable[WebhookEvent], *, prefer: Prefer | str = Prefer.SPEED
    ) -> Iterator[WriteResult[WebhookEvent]]:
        """As `record_many`, with the results as they come and memory flat."""
        return iter_many(self._table, _RecordEvent, events, prefer)

    def get(self, source: str, event_key: str) -> WebhookEvent | None:
        """W1: one strongly consistent request."""
        item = self._table.get(key_schema.webhook_event(source, event_key))
        return None if item is None else WebhookEvent.from_item(item)

    def list_by_status(
        self, source: str, status: EventStatus | str, *, newest_first: bool = False
    ) -> Query[WebhookEvent]:
        """W2 and W3: the events of a source in a status. One request for each shard.

        Pending and processing events by the time they are due, failed, dead and processed ones by
        the time they occurred.
        """
        status = choice(EventStatus, status, "status")
        return Query(
            self._table,
            WebhookEvent,
            lambda: [
                key_schema.events_of_status(source, status, shard)
                for shard in self._table.shards_to_read
            ],
            index="gsi3",
            newest_first=newest_first,
        )

    def list_by_object(
        self, source: str, object_type: str, object_id: str, *, newest_first: bool = False
    ) -> Query[WebhookEvent]:
        """W4: the events about one object by the time they occurred."""
        return Query(
            self._table,
            WebhookEvent,
            [key_schema.events_of_object(source, object_type, object_id)],
            index="gsi1",
            newest_first=newest_first,
        )
