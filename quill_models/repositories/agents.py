"""Agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quill_models import key_schema
from quill_models.attributes import choice
from quill_models.chunk import Prefer
from quill_models.errors import InvalidValue
from quill_models.models import Agent, AgentStatus, Interaction
from quill_models.query import Query
from quill_models.repositories.bulk import iter_many, list_many
from quill_models.repositories.claims import from_claim
from quill_models.repositories.deletes import DeleteWithClaims
from quill_models.repositories.upserts import PutLatest
from quill_models.results import WriteResult
from quill_models.table import Condition, RawItem, Table
from quill_models.writes import send

__all__ = ["Agents"]


class Agents:
    """The agents of the table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, agent: Agent) -> WriteResult[Agent]:
        """Create or update an agent, and move it between lists in the same write.

        One request where it is new or nothing changes, two where it changes. An agent with
        external ids is written in a transaction with the claims to them, at twice the write
        units, one item for each id.

        Returns:
            ``created``, ``updated``, ``unchanged``, ``stale`` (older ``source_updated_at`` than
            what is stored), or ``conflict`` (an external id belongs to the agent in ``item``).
        """
        return send(self._table, PutLatest(self._table, agent))

    def put_many(
        self, agents: Iterable[Agent], *, prefer: Prefer | str = Prefer.SPEED
    ) -> list[WriteResult[Agent]]:
        """As `put` for each, in input order, in few requests.

        Raises:
            PartialWriteError: the table stopped answering.
        """
        return list_many(self._table, PutLatest, agents, prefer)

    def iter_put_many(
        self, agents: Iterable[Agent], *, prefer: Prefer | str = Prefer.SPEED
    ) -> Iterator[WriteResult[Agent]]:
        """As `put_many`, with the results as they come and memory flat."""
        return iter_many(self._table, PutLatest, agents, prefer)

    def delete(self, agent_id: str) -> None:
        """Delete an agent and free its external ids. Two requests; none there is no error."""
        item = self._table.get(key_schema.agent(agent_id))
        if item is not None:
            send(self._table, DeleteWithClaims(Agent.from_item(item)))

    def get(self, agent_id: str) -> Agent | None:
        """A1: one strongly consistent request."""
        item = self._table.get(key_schema.agent(agent_id))
        return None if item is None else Agent.from_item(item)

    def get_by_external_id(self, source: str, external_id: str) -> Agent | None:
        """A2: one strongly consistent request."""
        claim = self._table.get(key_schema.agent_external_id(source, external_id))
        return None if claim is None else from_claim(Agent, claim)

    def get_with_interactions(
        self, agent_id: str, limit: int = 10
    ) -> tuple[Agent | None, list[Interaction]]:
        """X1: an agent together with its latest interactions, newest first.

        One eventually consistent request for both, as they lie in one item collection; another
        for each further megabyte.
        """
        if limit < 1:
            raise InvalidValue(f"limit must be 1 or more, not {limit}")
        agent: Agent | None = None
        interactions: list[Interaction] = []
        condition = Condition(
            "#pk = :pk",
            {"#pk": "gsi1pk"},
            {":pk": {"S": key_schema.agent_collection(agent_id)}},
        )
        start: RawItem | None = None
        while True:
            # The profile comes first, where there is an agent; so one more than asked for.
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
        """A3: by name."""
        return Query(self._table, Agent, [key_schema.agents_of_team(team)], index="gsi2")

    def list_by_status(self, status: AgentStatus | str) -> Query[Agent]:
        """A4: by name."""
        partition = key_schema.agents_of_status(choice(AgentStatus, status, "status"))
        return Query(self._table, Agent, [partition], index="gsi3")
