"""Interactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from quill_models.dynamodb.table import Table
from quill_models.models import Interaction, key_schema
from quill_models.reads.query import Query
from quill_models.repositories.external_ids import DeleteWithClaims, from_claim
from quill_models.repositories.put_latest import PutLatest
from quill_models.repositories.record_once import RecordFact
from quill_models.telemetry.operations import observed
from quill_models.values.clock import utc_day
from quill_models.writes.bulk import iter_many, list_many
from quill_models.writes.driver import Prefer, send
from quill_models.writes.results import WriteResult

__all__ = ["Interactions"]


@observed("interactions")
class Interactions:
    """The interactions of the table.

    Of ``*_many``, ``prefer`` says what to save where it cannot be both: ``speed`` or ``cost``, see
    `Prefer`.
    Lists go from ``since`` (inclusive) to ``until`` (exclusive), aware times, either of which may
    be left out; ``newest_first`` turns them round.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def record(self, interaction: Interaction) -> WriteResult[Interaction]:
        """Record what never changes. One request.

        An interaction with an external id is written in a transaction with the claim to it, at
        twice the write units.

        Returns:
            ``created``, ``duplicate``, or ``conflict`` (the identity is stored with other
            content, or the external id belongs to the interaction in ``item``).
        """
        return send(self._table, RecordFact(self._table, interaction))

    def record_many(
        self, interactions: Iterable[Interaction], *, prefer: Prefer | str = Prefer.SPEED
    ) -> list[WriteResult[Interaction]]:
        """As `record` for each, in input order.

        For each hundred one transaction where all are new or all known, two for a mixture, at
        twice the write units; see `Prefer`.

        Raises:
            PartialWriteError: the table stopped answering.
        """
        return list_many(self._table, RecordFact, interactions, prefer)

    def iter_record_many(
        self, interactions: Iterable[Interaction], *, prefer: Prefer | str = Prefer.SPEED
    ) -> Iterator[WriteResult[Interaction]]:
        """As `record_many`, with the results as they come and memory flat."""
        return iter_many(self._table, RecordFact, interactions, prefer)

    def put(self, interaction: Interaction) -> WriteResult[Interaction]:
        """Create or update what its source edits; one request, or two where it changes.

        An edited time, agent or contact moves the interaction between lists in the same write;
        with an external id that is a transaction, at twice the write units.

        Returns:
            ``created``, ``updated``, ``unchanged``, ``stale`` (older ``source_updated_at`` than
            what is stored), or ``conflict`` over the external id.
        """
        return send(self._table, PutLatest(self._table, interaction))

    def put_many(
        self, interactions: Iterable[Interaction], *, prefer: Prefer | str = Prefer.SPEED
    ) -> list[WriteResult[Interaction]]:
        """As `put` for each, in input order.

        For each hundred one transaction where all are new or all known, two for a mixture, at
        twice the write units; see `Prefer`.

        Raises:
            PartialWriteError: the table stopped answering.
        """
        return list_many(self._table, PutLatest, interactions, prefer)

    def iter_put_many(
        self, interactions: Iterable[Interaction], *, prefer: Prefer | str = Prefer.SPEED
    ) -> Iterator[WriteResult[Interaction]]:
        """As `put_many`, with the results as they come and memory flat."""
        return iter_many(self._table, PutLatest, interactions, prefer)

    def delete(self, interaction_id: str) -> None:
        """Delete an interaction and free its external id; none there is no error.

        A read, and where there is one a second request; with an external id a transaction, at
        twice the write units.
        """
        item = self._table.get(key_schema.interaction(interaction_id))
        if item is not None:
            send(self._table, DeleteWithClaims(Interaction.from_item(item)))

    def get(self, interaction_id: str) -> Interaction | None:
        """I1: the interaction, or ``None``. One strongly consistent request."""
        item = self._table.get(key_schema.interaction(interaction_id))
        return None if item is None else Interaction.from_item(item)

    def get_by_external_id(self, source: str, external_id: str) -> Interaction | None:
        """I2: the interaction an id in a source belongs to, or ``None``.

        One strongly consistent request, a read unit per 4 KB.
        """
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
        """I3: the interactions of an agent by start. One request a page.

        Raises:
            InvalidValue: a naive time.
        """
        return Query(
            self._table,
            Interaction,
            [key_schema.agent_collection(agent_id)],
            index="gsi1",
            between=key_schema.interactions_between(since, until),
            newest_first=newest_first,
        )

    def list_by_contact(
        self,
        contact_id: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        newest_first: bool = False,
    ) -> Query[Interaction]:
        """I4: the interactions of a contact by start. One request a page.

        Raises:
            InvalidValue: a naive time.
        """
        return Query(
            self._table,
            Interaction,
            [key_schema.interactions_of_contact(contact_id)],
            index="gsi2",
            between=key_schema.interactions_between(since, until),
            newest_first=newest_first,
        )

    def list_by_day(self, day: date, *, newest_first: bool = False) -> Query[Interaction]:
        """I5: all interactions that start on one UTC day, by start. One request for each shard.

        Raises:
            InvalidValue: ``day`` is no date, or a time.
        """
        day = utc_day(day)
        return Query(
            self._table,
            Interaction,
            lambda: [
                key_schema.interactions_of_day(day, shard) for shard in self._table.shards_to_read
            ],
            index="gsi3",
            newest_first=newest_first,
        )
