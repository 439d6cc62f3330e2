"""Agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quill_models.dynamodb.conditions import Condition
from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.table import Table
from quill_models.models import Agent, AgentStatus, Interaction, key_schema
from quill_models.reads.query import Query
from quill_models.repositories.external_ids import DeleteWithClaims, from_claim
from quill_models.repositories.put_latest import PutLatest
from quill_models.telemetry.operations import observed
from quill_models.values.checks import choice
from quill_models.values.errors import InvalidValue
from quill_models.writes.bulk import iter_many, list_many
from quill_models.writes.driver import Prefer, send
from quill_models.writes.results import WriteResult

__all__ = ["Agents"]


@observed("agents")
class Agents:
    """The agents of the table.

    Of ``*_many``, ``prefer`` says what to save where it cannot be both: ``speed`` or ``cost``, see
    `Prefer`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, agent: Agent) -> WriteResult[Agent]:
        """Create or update an agent, and move it between lists in the same write.

        Args:
            agent: the agent; it is not changed.

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
        """As `put` for each, in input order.

        For each hundred one transaction where all are new or all known, two for a mixture, at
        twice the write units; see `Prefer`.

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
        """Delete an agent and free its external ids; none there is no error.

        A read, and where there is one a second request; with external ids a transaction, at twice
        the write units, one item for each id.
        """
        item = self._table.get(key_schema.agent(agent_id))
        if item is not None:
            send(self._table, DeleteWithClaims(Agent.from_item(item)))

    def get(self, agent_id: str) -> Agent | None:
        """A1: the agent, or ``None``. One strongly consistent request, a read unit per 4 KB."""
        item = self._table.get(key_schema.agent(agent_id))
        return None if item is None else Agent.from_item(item)

    def get_by_external_id(self, source: str, external_id: str) -> Agent | None:
        """A2: the agent an id in a source belongs to, or ``None``.

        One strongly consistent request, a read unit per 4 KB.
        """
        claim = self._table.get(key_schema.agent_external_id(source, external_id))
        return None if claim is None else from_claim(Agent, claim)

    def get_with_interactions(
        self, agent_id: str, limit: int = 10
    ) -> tuple[Agent | None, list[Interaction]]:
        """X1: an agent together with its latest interactions, newest first.

        One eventually consistent request for both, as they lie in one item collection; another
        for each further megabyte.

        Args:
            agent_id: whose.
            limit: the most interactions, 1 or more.

        Returns:
            The agent, or ``None`` where there is none, and its interactions.

        Raises:
            InvalidValue: ``limit`` is less than 1.
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
        """A3: the agents of a team by name. One request a page."""
        return Query(self._table, Agent, [key_schema.agents_of_team(team)], index="gsi2")

    def list_by_status(self, status: AgentStatus | str) -> Query[Agent]:
        """A4: the agents in a status by name. One request a page.

        Raises:
            InvalidValue: there is no such status.
        """
        partition = key_schema.agents_of_status(choice(AgentStatus, status, "status"))
        return Query(self._table, Agent, [partition], index="gsi3")
