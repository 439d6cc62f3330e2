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
