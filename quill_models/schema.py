"""The table itself: made, and checked, from what the models declare."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from quill_models.client import Client
from quill_models.errors import RequestRejected, SchemaMismatch, TableNotFound, Throttled
from quill_models.models import QuillModel
from quill_models.shards import DEFAULT_SHARDS
from quill_models.table import TTL, Table

__all__ = ["Schema", "declared_table"]

_WAIT_SECONDS = 0.2
_WAITS = 1500

Report = Callable[[str], None]


def declared_table() -> dict[str, Any]:
    """What the models declare, as ``CreateTable`` takes it, without the table's name."""
    schema = QuillModel._get_schema()  # noqa: SLF001
    meta = QuillModel.Meta
    return {
        "AttributeDefinitions": sorted(
            (dict(attribute) for attribute in schema["attribute_definitions"]),
            key=lambda attribute: attribute["AttributeName"],
        ),
        "KeySchema": _hash_first(schema["key_schema"]),
        "GlobalSecondaryIndexes": sorted(
            (
                {
                    "IndexName": index["index_name"],
                    "KeySchema": _hash_first(index["key_schema"]),
                    "Projection": dict(index["projection"]),
                }
                for index in schema["global_secondary_indexes"]
            ),
            key=lambda index: str(index["IndexName"]),
        ),
        "BillingMode": meta.billing_mode,
        "StreamSpecification": {
            "StreamEnabled": True,
            "StreamViewType": meta.stream_view_type,
        },
    }


class Schema:
    """The table of one connection."""

    def __init__(self, table: Table, created: Callable[[], object] = lambda: None) -> None:
        """Schema of a table.

        Args:
            table: the table.
            created: called by the one `apply` that created the table, when all else is done.
        """
        self._table = table
        self._created = created

    @property
    def client(self) -> Client:
        """The client of this connection, for what the package does not do itself."""
        return self._table.client

    def apply(self, report: Report | None = None, *, stream: bool = True) -> list[str]:
        """Create the table with its indexes, TTL and stream; safe to repeat, or run twice at once.

        Args:
            report: called with each step as it is done.
            stream: without it a new table gets no stream. For tests that read none: DynamoDB Local
                keeps the stream records of deleted tables for a day, and goes through all of them
                with each write to the tables made after.

        Returns:
            What was done, in words; nothing where all was there.

        Raises:
            SchemaMismatch: the live table has another key schema, or lacks an index.
        """
        done: list[str] = []

        def did(step: str) -> None:
            done.append(step)
            if report is not None:
                report(step)

        live = self._live()
        creates = live is None and self._create(stream=stream)
        if creates:
            did(
                f"created the table {self._table.name!r} with 3 indexes and "
                f"{'its' if stream else 'no'} stream"
            )
        if live is None or live["TableStatus"] != "ACTIVE":
            # Another process may be creating it.
            live = self._until_active()
        self._check(live)
        if self._enable_ttl():
            did(f"turned on TTL on the attribute {TTL!r}")
        if self._table.settle_shards():
            did(f"stored the number of shards, {DEFAULT_SHARDS}")
        if creates:
            self._created()
        return done

    def grow_shards(self, shards: int) -> datetime | None:
        """Spread the sharded lists over more partitions, while readers and writers go on.

        Readers ask the new shards at once; writers use them from the time that is returned, when
        every process has learnt of them. Two requests.

        Args:
            shards: how many, never fewer than there are.

        Raises:
            InvalidValue: fewer than there are, or they are growing already.
        """
        return self._table.grow_shards(shards).next_from

    def describe(self) -> dict[str, Any]:
        """The live table in the form of `declared_table`, with its TTL attribute. Two requests.

        Raises:
            TableNotFound: there is none.
        """
        live = self._table.request("describe_table")["Table"]
        ttl = self._table.request("describe_time_to_live")["TimeToLiveDescription"]
        stream = live.get("StreamSpecification", {"StreamEnabled": False})
        return {
            "AttributeDefinitions": sorted(
                live["AttributeDefinitions"], key=lambda attribute: attribute["AttributeName"]
            ),
            "KeySchema": _hash_first(live["KeySchema"]),
            "GlobalSecondaryIndexes": _indexes(live),
            "BillingMode": live.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
            "StreamSpecification": stream,
            "TimeToLive": ttl.get("AttributeName"),
        }

    def delete_table(self) -> None:
        """Delete the table and everything in it; none there is no error."""
        try:
            self._table.request("delete_table")
        except TableNotFound:
            return
        for _ in range(_WAITS):
            if self._live() is None:
                return
            time.sleep(_WAIT_SECONDS)

    def _live(self) -> dict[str, Any] | None:
        try:
            described: dict[str, Any] = self._table.request("describe_table")["Table"]
        except TableNotFound:
            return None
        return described

    def _create(self, *, stream: bool) -> bool:
        declared = declared_table()
        if not stream:
            del declared["StreamSpecification"]
        try:
            self._table.request("create_table", **declared)
        except RequestRejected as rejected:
            if rejected.code == "ResourceInUseException":
                return False
            raise
        return True

    def _until_active(self) -> dict[str, Any]:
        for _ in range(_WAITS):
            live = self._live()
            if live is not None and live["TableStatus"] == "ACTIVE":
                return live
            time.sleep(_WAIT_SECONDS)
        raise Throttled(
            f"The table {self._table.name!r} did not become active within "
            f"{_WAITS * _WAIT_SECONDS:.0f} seconds. Run quill schema apply again."
        )

    def _check(self, live: dict[str, Any]) -> None:
        declared = declared_table()
        name = self._table.name
        if _hash_first(live["KeySchema"]) != declared["KeySchema"]:
            raise SchemaMismatch(
                f"The table {name!r} exists with another key schema: {live['KeySchema']}. A key "
                "schema cannot be changed; set QUILL_TABLE to another name."
            )
        live_indexes = {index["IndexName"]: index for index in _indexes(live)}
        for index in declared["GlobalSecondaryIndexes"]:
            if live_indexes.get(index["IndexName"]) != index:
                raise SchemaMismatch(
                    f"The table {name!r} has no index {index['IndexName']!r} as the models "
                    f"declare it. It has: {sorted(live_indexes) or 'none'}."
                )

    def _enable_ttl(self) -> bool:
        described = self._table.request("describe_time_to_live")["TimeToLiveDescription"]
        if described["TimeToLiveStatus"] in {"ENABLED", "ENABLING"}:
            if described.get("AttributeName") != TTL:
                raise SchemaMismatch(
                    f"TTL of the table {self._table.name!r} is on the attribute "
                    f"{described.get('AttributeName')!r}, not {TTL!r}. Turn it off first."
                )
            return False
        try:
            self._table.request(
                "update_time_to_live",
                TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL},
            )
        except RequestRejected as rejected:
            # Another process turned it on meanwhile.
            if "already enabled" in str(rejected):
                return False
            raise
        return True


def _indexes(live: dict[str, Any]) -> list[dict[str, Any]]:
    """The indexes of a described table, in the form of `declared_table`."""
    return sorted(
        (
            {
                "IndexName": index["IndexName"],
                "KeySchema": _hash_first(index["KeySchema"]),
                "Projection": index["Projection"],
            }
            for index in live.get("GlobalSecondaryIndexes", [])
        ),
        key=lambda index: str(index["IndexName"]),
    )


def _hash_first(key_schema: Any) -> list[dict[str, str]]:
    return sorted((dict(key) for key in key_schema), key=lambda key: key["KeyType"])
