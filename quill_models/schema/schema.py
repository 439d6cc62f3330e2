"""The schema of the table of one connection: create, compare, change, delete."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from quill_models.dynamodb.client import Client
from quill_models.dynamodb.shards import DEFAULT_SHARDS
from quill_models.dynamodb.table import Table
from quill_models.schema.apply import Application, StepReport, wait_until_deleted
from quill_models.schema.declared import Declared
from quill_models.schema.differences import NO_TABLE, Difference, differences
from quill_models.schema.live import described, read_live
from quill_models.schema.shard_count import grow_shards, store_shard_count
from quill_models.telemetry.operations import operation
from quill_models.values.errors import TableNotFound

__all__ = ["Schema", "SchemaDiff"]


@dataclass(frozen=True, kw_only=True)
class SchemaDiff:
    """The result of comparing the live table with the declared one.

    Attributes:
        differences: The differences; empty if the two are equal.
        missing: Features of the settings that this server does not support, in words.
    """

    differences: tuple[Difference, ...]
    missing: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether the live table is as declared."""
        return not self.differences


class Schema:
    """The schema of the table of one connection.

    Args:
        table: Table of the connection.
        created: Called at the end of the `apply` that created the table.
    """

    OPERATIONS = "schema"

    def __init__(self, table: Table, created: Callable[[], object] = lambda: None) -> None:
        self._table = table
        self._created = created

    @property
    def client(self) -> Client:
        """The client of this connection, for requests that the package does not offer."""
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
        """Create the table, or change the live one to the declared schema.

        Missing indexes are created one by one, because DynamoDB allows no more. This waits until
        each is filled, which can take hours, and can be interrupted and run again. It also sets
        TTL, stream and billing mode, and on AWS point-in-time recovery, deletion protection,
        encryption and tags. It is safe to repeat and to run concurrently, and changes no item.

        Args:
            report: Called with each finished step.
            stream: Whether to turn on the stream; ``False`` leaves it unchanged. Use that in tests
                that read no stream: DynamoDB Local keeps the stream records of deleted tables for
                a day, and each write to a later table scans them.
            ttl: Whether to turn on TTL; ``False`` leaves it unchanged. Use that in tests with times
                in the past: by the server's clock, their items with a ``ttl`` have expired.
            delete_indexes: Names of indexes that may be deleted; no other index is deleted. If the
                models declare such an index differently, it is created again.
            progress: Called with the change in progress, whenever that changes.

        Returns:
            The steps, in words; empty if the table was as declared.

        Raises:
            SchemaMismatch: The live table has another key schema, which cannot be changed, or an
                index must be deleted first and is not in ``delete_indexes``.

        Cost:
            Four requests if nothing differs (up to six on AWS); more for changes and waiting.
        """
        done: list[str] = []

        def finish(step: str) -> None:
            done.append(step)
            if report is not None:
                report(step)

        declared = Declared.of(self._table.settings, stream=stream, ttl=ttl)
        application = Application(self._table, declared, finish, progress or (lambda _text: None))
        created = application.run(delete_indexes)
        if store_shard_count(self._table):
            finish(f"stored the number of shards, {DEFAULT_SHARDS}")
        if created:
            self._created()
        return done

    @operation
    def diff(self) -> SchemaDiff:
        """Compare the live table with the models and the settings. Writes nothing.

        Cost:
            Two requests, up to four on AWS.
        """
        live = described(self._table)
        if live is None:
            return SchemaDiff(differences=(NO_TABLE,))
        declared = Declared.of(self._table.settings)
        found = read_live(self._table, live, declared)
        return SchemaDiff(differences=tuple(differences(declared, found)), missing=found.missing)

    @operation
    def grow_shards(self, shards: int) -> datetime | None:
        """Spread the sharded lists over more partitions, while readers and writers continue.

        Args:
            shards: New number of shards, from the present one to 1,000.

        Returns:
            The time from which writers use the new shards. By then every process has read their
            number. Readers query the new shards at once.

        Raises:
            InvalidValue: ``shards`` is out of range, or the shards are growing already.

        Cost:
            Two requests.
        """
        return grow_shards(self._table, shards).next_from

    @operation
    def delete_table(self) -> None:
        """Delete the table and everything in it. A missing table is not an error.

        Raises:
            RequestRejected: The table has deletion protection.

        Cost:
            One request, and one each time it checks whether the table is deleted.
        """
        try:
            self._table.request("delete_table")
        except TableNotFound:
            return
        wait_until_deleted(self._table)
