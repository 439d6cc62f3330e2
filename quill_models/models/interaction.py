"""An interaction: a call, an email, a chat … between an agent and a contact."""

from __future__ import annotations

from enum import StrEnum

from quill_models.models import key_schema
from quill_models.models.attributes import (
    Choice,
    Document,
    FilledDocument,
    Instant,
    Number,
    OptionalInstant,
    OptionalNumber,
    OptionalText,
    StrictAttribute,
    Text,
    empty,
    field,
)
from quill_models.models.base import QuillModel
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["Channel", "Direction", "Interaction"]


class Channel(StrEnum):
    """The channel of an interaction."""

    CALL = "call"
    EMAIL = "email"
    CHAT = "chat"
    MEETING = "meeting"
    TICKET = "ticket"
    NOTE = "note"
    TASK = "task"
    OTHER = "other"


class Direction(StrEnum):
    """The direction of an interaction."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Interaction(QuillModel):
    """A call, email, chat or the like between an agent and a contact.

    Attributes:
        interaction_id: The identity.
        source: Name of the source. Required with ``external_id``.
        external_id: Id in the source. An id in a source belongs to one interaction.
        agent_id: The agent, if known.
        contact_id: The contact, if known.
        channel: A `Channel`.
        direction: A `Direction`.
        started_at: Start, an aware time.
        ended_at: End, an aware time.
        duration_seconds: Duration from the source; not computed.
        outcome: Free text.
        subject: Free text.
        attributes: Further data of the source, any JSON.
        source_updated_at: When the source changed the interaction. Older writes are ``stale``.
    """

    KIND = "interaction"
    IDENTITY = ("interaction_id",)
    SHOWN = ("source", "external_id", "agent_id", "channel", "started_at")
    MAY_HAVE_EXTERNAL_IDS = True

    interaction_id: Text = field(Text())
    source: OptionalText = field(Text(), default=None)
    external_id: OptionalText = field(Text(), default=None)
    agent_id: OptionalText = field(Text(), default=None)
    contact_id: OptionalText = field(Text(), default=None)
    channel: Choice[Channel] = field(Choice(Channel), default=Channel.OTHER)
    direction: StrictAttribute[Direction | None, Direction | str | None] = field(
        Choice(Direction), default=None
    )
    started_at: Instant = field(Instant(), partition=True)
    ended_at: OptionalInstant = field(Instant(), default=None)
    duration_seconds: OptionalNumber = field(Number(), default=None)
    outcome: OptionalText = field(Text(), default=None)
    subject: OptionalText = field(Text(), default=None)
    attributes: FilledDocument = field(Document(), default_factory=empty)
    source_updated_at: OptionalInstant = field(Instant(), default=None, version=True)

    def validate(self) -> None:
        """See `QuillModel.validate`."""
        if self.external_id is not None and self.source is None:
            raise InvalidValue(
                f"Interaction {self.interaction_id} has an external_id but no source. Set source."
            )
        if self.ended_at is not None and self.ended_at < self.started_at:
            raise InvalidValue(
                f"Interaction {self.interaction_id} ends at {self.ended_at.isoformat()}, before "
                f"its start at {self.started_at.isoformat()}. Correct one of the times."
            )
        self.external_id_keys()

    def key(self) -> Key:
        """See `QuillModel.key`."""
        return key_schema.interaction(self.interaction_id)

    def external_id_keys(self) -> list[Key]:
        """See `QuillModel.external_id_keys`."""
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
