"""The table of one connection: made, compared and brought to what the models declare."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from quill_models.dynamodb.client import Client
from quill_models.dynamodb.shards import DEFAULT_SHARDS
from quill_models.dynamodb.table import Table
from quill_models.schema.apply import Application, StepReport, until_gone
from quill_models.schema.declared import Declared
from quill_models.schema.differences import NO_TABLE, Difference, differences
from quill_models.schema.live import described, read_live
from quill_models.schema.shard_count import grow_shards, settle_shards
from quill_models.telemetry.operations import operation
from quill_models.values.errors import TableNotFound

__all__ = ["Schema", "SchemaDiff"]


@dataclass(frozen=True, kw_only=True)
class SchemaDiff:
    """The live table beside what it shall be.

    Attributes:
        differences: in what it differs; empty where it is equal.
        missing: what the settings ask for and this server does not have, in words.
    """

    differences: tuple[Difference, ...]
    missing: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether there is no difference."""
        return not self.differences


class Schema:
    """The table of one connection.

    Args:
        table: the table.
        created: called by the one `apply` that created the table, when all else is done.
    """

    OPERATIONS = "schema"

    def __init__(self, table: Table, created: Callable[[], object] = lambda: None) -> None:
        self._table = table
        self._created = created

    @property
    def client(self) -> Client:
        """The client of this connection, for what the package does not do itself."""
        return self._table.client

    @operation
    def apply(
        self,
        report: StepReport | None = None,
        *,
        stream: bool = True,
        ttl: bool = True,
        delete_indexes: Collection[str] = (),
        progress: StepReport | None = None,
    ) -> list[str]:
        """Create the table, or bring a live one to what the models declare.

        Missing indexes are created one after the other, as DynamoDB allows no more; this waits
        until they are filled, which may take hours, and can be ended and run again. TTL, stream
        and billing mode are mended, on AWS also point-in-time recovery, deletion protection,
        encryption and tags. Safe to repeat, or to run twice at once. No item is changed or
        deleted.

        Four requests where all is well (up to six on AWS); some more for each change, and one each
        time it looks whether it is done.

        Args:
            report: called with each step as it is done.
            stream: without it no stream is made, and none is turned off. For tests that read none:
                DynamoDB Local keeps the stream records of deleted tables for a day, and goes
                through all of them with each write to the tables made after.
            ttl: without it TTL is not turned on, and not off. For tests at times in the past: what
                they store with a ``ttl`` has long expired by the server's clock, which deletes it.
            delete_indexes: the names of indexes that may be deleted: one that the models declare
                in another way is created anew afterwards. No other index is ever deleted.
            progress: called with what is being waited for, whenever that changes.

        Returns:
            What was done, in words; nothing where all was there.

        Raises:
            SchemaMismatch: the live table has another key schema, which nothing can mend, or an
                index that has to be deleted first and was not named.
        """
        done: list[str] = []

        def did(step: str) -> None:
            done.append(step)
            if report is not None:
                report(step)

        declared = Declared.of(self._table.settings, stream=stream, ttl=ttl)
        application = Application(self._table, declared, did, progress or (lambda _text: None))
        created = application.run(delete_indexes)
        if settle_shards(self._table):
            did(f"stored the number of shards, {DEFAULT_SHARDS}")
        if created:
            self._created()
        return done

    @operation
    def diff(self) -> SchemaDiff:
        """Compare the live table with what the models declare and the settings add.

        Writes nothing. Two requests, up to four on AWS.
        """
        live = described(self._table)
        if live is None:
            return SchemaDiff(differences=(NO_TABLE,))
        declared = Declared.of(self._table.settings)
        found = read_live(self._table, live, declared)
        return SchemaDiff(differences=tuple(differences(declared, found)), missing=found.missing)

    @operation
    def grow_shards(self, shards: int) -> datetime | None:
        """Spread the sharded lists over more partitions, while readers and writers go on.

        Readers ask the new shards at once; writers use them from the time that is returned, when
        every process has learnt of them. Two requests.

        Args:
            shards: how many, never fewer than there are.

        Raises:
            InvalidValue: fewer than there are, or they are growing already.
        """
        return grow_shards(self._table, shards).next_from

    @operation
    def delete_table(self) -> None:
        """Delete the table and everything in it; none there is no error.

        One request, and one each time it looks whether the table is gone.

        Raises:
            RequestRejected: its deletion protection is on.
        """
        try:
            self._table.request("delete_table")
        except TableNotFound:
            return
        until_gone(self._table)
