"""Interactions."""

from __future__ import annotations

from datetime import date, datetime

from quill_models.models import Interaction, key_schema
from quill_models.reads.query import Query
from quill_models.repositories.external_ids import DeleteWithClaims, from_claim
from quill_models.repositories.repository import Puts, Records
from quill_models.telemetry.operations import operation
from quill_models.values.clock import utc_day
from quill_models.writes.driver import send

__all__ = ["Interactions"]


class Interactions(Puts[Interaction], Records[Interaction]):
    """The interactions of the table.

    `record` interactions that never change, `put` interactions that their source edits. Lists
    cover ``since`` (inclusive) to ``until`` (exclusive), aware times, both optional.
    ``newest_first`` reverses the order.
    """

    MODEL = Interaction
    OPERATIONS = "interactions"

    @operation
    def delete(self, interaction_id: str) -> None:
        """Delete an interaction and release its external id. An absent one is not an error.

        Cost:
            One read, and one write if the interaction exists. With an external id a transaction of
            two items, at twice the write units.
        """
        interaction = self._read(key_schema.interaction(interaction_id))
        if interaction is not None:
            send(self._table, DeleteWithClaims(interaction))

    @operation
    def get(self, interaction_id: str) -> Interaction | None:
        """Return an interaction, or ``None`` (I1). Cost: one strongly consistent read."""
        return self._read(key_schema.interaction(interaction_id))

    @operation
    def get_by_external_id(self, source: str, external_id: str) -> Interaction | None:
        """Return the interaction with this id in a source, or None (I2). Cost: one read."""
        claim = self._table.get(key_schema.interaction_external_id(source, external_id))
        return None if claim is None else from_claim(Interaction, claim)

    def list_by_agent(
        self,
        agent_id: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        newest_first: bool = False,
    ) -> Query[Interaction]:
        """List the interactions of an agent by start (I3). Cost: one query a page.

        Raises:
            InvalidValue: A time is naive.
        """
        between = key_schema.interactions_between(since, until)
        partition = key_schema.agent_collection(agent_id)
        return self._list(
            "list_by_agent", partition, index="gsi1", between=between, newest_first=newest_first
        )

    def list_by_contact(
        self,
        contact_id: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        newest_first: bool = False,
    ) -> Query[Interaction]:
        """List the interactions of a contact by start (I4). Cost: one query a page.

        Raises:
            InvalidValue: A time is naive.
        """
        between = key_schema.interactions_between(since, until)
        partition = key_schema.interactions_of_contact(contact_id)
        return self._list(
            "list_by_contact", partition, index="gsi2", between=between, newest_first=newest_first
        )

    def list_by_day(self, day: date, *, newest_first: bool = False) -> Query[Interaction]:
        """List the interactions that start on one UTC day (I5). Cost: one query for each shard.

        Raises:
            InvalidValue: ``day`` is not a date, or is a datetime.
        """
        day = utc_day(day)
        return self._list(
            "list_by_day",
            lambda shard: key_schema.interactions_of_day(day, shard),
            index="gsi3",
            newest_first=newest_first,
        )
