"""An interaction: a call, an email, a chat … between an agent and a contact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from quill_models.models import key_schema
from quill_models.models.attributes import Choice, Document, Instant, Number, Text, optional
from quill_models.models.base import QuillModel
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["Channel", "Direction", "Interaction"]


class Channel(StrEnum):
    """By which way."""

    CALL = "call"
    EMAIL = "email"
    CHAT = "chat"
    MEETING = "meeting"
    TICKET = "ticket"
    NOTE = "note"
    TASK = "task"
    OTHER = "other"


class Direction(StrEnum):
    """Who began it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Interaction(QuillModel):
    """One interaction.

    Attributes:
        interaction_id: the identity.
        source: where it comes from; with ``external_id``, or neither.
        external_id: its id there. The pair is unique.
        agent_id: who of the agents took part, where known.
        contact_id: which contact took part, where known.
        channel: a `Channel`.
        direction: a `Direction`.
        started_at: an aware time.
        ended_at: an aware time.
        duration_seconds: as the source gives it; not computed.
        outcome: free text.
        subject: free text.
        attributes: whatever else the source has, any JSON.
        source_updated_at: when the source changed it.
    """

    KIND = "interaction"
    IDENTITY = ("interaction_id",)
    SHOWN = ("source", "external_id", "agent_id", "channel", "started_at")
    MAY_HAVE_EXTERNAL_IDS = True

    interaction_id = Text()
    source = optional(Text())
    external_id = optional(Text())
    agent_id = optional(Text())
    contact_id = optional(Text())
    channel = Choice(Channel)
    direction = optional(Choice(Direction))
    started_at = Instant()
    ended_at = optional(Instant())
    duration_seconds = optional(Number())
    outcome = optional(Text())
    subject = optional(Text())
    attributes = Document()
    source_updated_at = optional(Instant())

    def __init__(
        self,
        *,
        interaction_id: str,
        started_at: datetime,
        source: str | None = None,
        external_id: str | None = None,
        agent_id: str | None = None,
        contact_id: str | None = None,
        channel: Channel | str = Channel.OTHER,
        direction: Direction | str | None = None,
        ended_at: datetime | None = None,
        duration_seconds: Decimal | float | None = None,
        outcome: str | None = None,
        subject: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        source_updated_at: datetime | None = None,
    ) -> None:
        super().__init__(
            interaction_id=interaction_id,
            source=source,
            external_id=external_id,
            agent_id=agent_id,
            contact_id=contact_id,
            channel=channel,
            direction=direction,
            started_at=started_at,
            ended_at=ended_at,
            duration_seconds=duration_seconds,
            outcome=outcome,
            subject=subject,
            attributes={} if attributes is None else attributes,
            source_updated_at=source_updated_at,
        )

    def validate(self) -> None:
        """See `QuillModel.validate`."""
        if self.external_id is not None and self.source is None:
            raise InvalidValue(
                f"the interaction {self.interaction_id!r} has an external_id and no source"
            )
        if self.ended_at is not None and self.ended_at < self.started_at:
            raise InvalidValue(
                f"the interaction {self.interaction_id!r} ends before it starts: "
                f"{self.ended_at.isoformat()} is before {self.started_at.isoformat()}"
            )
        self.external_id_keys()

    def key(self) -> Key:
        """See `QuillModel.key`."""
        return key_schema.interaction(self.interaction_id)

    @property
    def version_time(self) -> datetime | None:
        """See `QuillModel.version_time`."""
        return self.source_updated_at

    def external_id_keys(self) -> list[Key]:
        """The key that claims this interaction's id in its source, where it has one."""
        if self.source is None or self.external_id is None:
            return []
        return [key_schema.interaction_external_id(self.source, self.external_id)]

    def lists(self, shards: int) -> dict[str, tuple[str, str]]:
        """See `QuillModel.lists`."""
        order = key_schema.interaction_order(self.started_at, self.interaction_id)
        day = key_schema.interactions_of_day(
            self.started_at.date(), key_schema.shard(self.key(), shards)
        )
        lists = {"gsi3": (day, order)}
        if self.agent_id is not None:
            lists["gsi1"] = (key_schema.agent_collection(self.agent_id), order)
        if self.contact_id is not None:
            lists["gsi2"] = (key_schema.interactions_of_contact(self.contact_id), order)
        return lists
