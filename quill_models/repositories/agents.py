"""Agents."""

from __future__ import annotations

from quill_models.dynamodb.items import Condition, RawItem
from quill_models.models import Agent, AgentStatus, Interaction, key_schema
from quill_models.reads.query import Query
from quill_models.repositories.external_ids import DeleteWithClaims, from_claim
from quill_models.repositories.repository import Puts
from quill_models.telemetry.operations import operation
from quill_models.values.conversion import choice
from quill_models.values.errors import InvalidValue
from quill_models.writes.driver import send

__all__ = ["Agents"]


class Agents(Puts[Agent]):
    """The agents of the table."""

    MODEL = Agent
    OPERATIONS = "agents"

    @operation
    def delete(self, agent_id: str) -> None:
        """Delete an agent and release its external ids. An absent agent is not an error.

        Cost:
            One read, and one write if the agent exists. With external ids a transaction with one
            more item for each id, at twice the write units.
        """
        agent = self._read(key_schema.agent(agent_id))
        if agent is not None:
            send(self._table, DeleteWithClaims(agent))

    @operation
    def get(self, agent_id: str) -> Agent | None:
        """Return an agent, or ``None`` (A1). Cost: one consistent read, a read unit per 4 KB."""
        return self._read(key_schema.agent(agent_id))

    @operation
    def get_by_external_id(self, source: str, external_id: str) -> Agent | None:
        """Return the agent with this id in a source, or None (A2). Cost: one read."""
        claim = self._table.get(key_schema.agent_external_id(source, external_id))
        return None if claim is None else from_claim(Agent, claim)

    @operation
    def get_with_interactions(
        self, agent_id: str, limit: int = 10
    ) -> tuple[Agent | None, list[Interaction]]:
        """Return an agent with its latest interactions, newest first (X1).

        Args:
            agent_id: The id of the agent.
            limit: Maximum number of interactions, at least 1.

        Returns:
            The agent, or ``None`` if it does not exist, and its interactions.

        Raises:
            InvalidValue: ``limit`` is less than 1.

        Cost:
            One eventually consistent query of one item collection, one more for each further MB.
        """
        if limit < 1:
            raise InvalidValue(f"limit must be at least 1, got {limit}")
        agent: Agent | None = None
        interactions: list[Interaction] = []
        condition = Condition(
            "#pk = :pk",
            {"#pk": "gsi1pk"},
            {":pk": {"S": key_schema.agent_collection(agent_id)}},
        )
        start: RawItem | None = None
        while True:
            # The agent comes first, so one more item than the limit.
            page = self._table.query(
                condition,
                index="gsi1",
                newest_first=True,
                limit=limit + 1 - len(interactions),
                start=start,
            )
            for item in page.items:
                if item["kind"]["S"] == Agent.KIND:
                    agent = Agent.from_item(item)
                else:
                    interactions.append(Interaction.from_item(item))
            start = page.start
            if start is None or len(interactions) >= limit:
                return agent, interactions[:limit]

    def list_by_team(self, team: str) -> Query[Agent]:
        """List the agents of a team by name (A3). Cost: one query a page."""
        return self._list("list_by_team", key_schema.agents_of_team(team), index="gsi2")

    def list_by_status(self, status: AgentStatus | str) -> Query[Agent]:
        """List the agents in a status by name (A4). Cost: one query a page.

        Raises:
            InvalidValue: The status does not exist.
        """
        partition = key_schema.agents_of_status(choice(AgentStatus, status, "status"))
        return self._list("list_by_status", partition, index="gsi3")
