"""An agent: someone who handles interactions."""

from __future__ import annotations

from enum import StrEnum

from quill_models.models import key_schema
from quill_models.models.attributes import (
    Choice,
    FilledTextMap,
    Instant,
    OptionalInstant,
    OptionalText,
    Text,
    TextMap,
    empty,
    field,
)
from quill_models.models.base import QuillModel
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["Agent", "AgentStatus"]


# An agent with new and old claims to all ids must fit in one transaction of 100 actions.
_MOST_EXTERNAL_IDS = 49


class AgentStatus(StrEnum):
    """The status of an agent."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class Agent(QuillModel):
    """An agent, and the ids it has in other systems.

    Attributes:
        agent_id: The identity.
        name: The name, which orders lists. An agent without a name is listed by its id.
        email: Any text.
        team: The team of the agent.
        status: ``active`` (default) or ``inactive``.
        external_ids: Ids by source, such as ``{"hubspot": "1184062"}``, at most 49. An id in a
            source belongs to one agent.
        source_updated_at: When the source changed the agent. Older writes are ``stale``.
    """

    KIND = "agent"
    IDENTITY = ("agent_id",)
    SHOWN = ("name", "team", "status")
    MAY_HAVE_EXTERNAL_IDS = True

    agent_id: Text = field(Text())
    name: OptionalText = field(Text(), default=None)
    email: OptionalText = field(Text(), default=None)
    team: OptionalText = field(Text(), default=None)
    status: Choice[AgentStatus] = field(Choice(AgentStatus), default=AgentStatus.ACTIVE)
    external_ids: FilledTextMap = field(TextMap(), default_factory=empty)
    source_updated_at: OptionalInstant = field(Instant(), default=None, version=True)

    def validate(self) -> None:
        """See `QuillModel.validate`."""
        if len(self.external_ids) > _MOST_EXTERNAL_IDS:
            raise InvalidValue(
                f"Agent {self.agent_id} has {len(self.external_ids)} external ids; the maximum is "
                f"{_MOST_EXTERNAL_IDS}."
            )
        self.external_id_keys()

    def key(self) -> Key:
        """See `QuillModel.key`."""
        return key_schema.agent(self.agent_id)

    def external_id_keys(self) -> list[Key]:
        """See `QuillModel.external_id_keys`."""
        return [
            key_schema.agent_external_id(source, external_id)
            for source, external_id in sorted(self.external_ids.items())
        ]

    def lists(self, shards: int) -> dict[str, tuple[str, str]]:  # noqa: ARG002
        """See `QuillModel.lists`."""
        order = key_schema.agents_order(self.name or self.agent_id, self.agent_id)
        lists = {
            "gsi1": (key_schema.agent_collection(self.agent_id), key_schema.AGENT_PROFILE),
            "gsi3": (key_schema.agents_of_status(self.status), order),
        }
        if self.team is not None:
            lists["gsi2"] = (key_schema.agents_of_team(self.team), order)
        return lists
