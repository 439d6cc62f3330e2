"""What lets PynamoDB's own calls go to the table that is current, over the client it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynamodb._schema import ModelSchema
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection

from quill_models.dynamodb.current_table import current_table
from quill_models.dynamodb.table import Table

__all__ = ["CurrentMeta", "shared_connection"]


class CurrentMeta(type):
    """The ``Meta`` of the models: the table's name is asked for anew at each use."""

    @property
    def table_name(cls) -> str:
        """The current table's."""
        return current_table().name


class _SharedClient(Connection):
    """PynamoDB's connection on the botocore client that everything else uses."""

    def __init__(self, table: Table, meta_table: MetaTable) -> None:
        super().__init__(region=table.settings.region, host=table.settings.endpoint)
        self._table = table
        self.add_meta_table(meta_table)

    @property
    def client(self) -> Any:
        return self._table.client.botocore


def shared_connection(table: Table, schema: Callable[[], ModelSchema]) -> TableConnection:
    """PynamoDB's connection to a table, kept with it, so that two tables stay apart.

    The schema is worked out with the first call for a table, not with each.
    """
    connection: TableConnection | None = getattr(table, "pynamodb_connection", None)
    if connection is None:
        connection = TableConnection(table.name)
        connection.connection = _SharedClient(table, _meta_table(table.name, schema()))
        table.pynamodb_connection = connection  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return connection


def _meta_table(table_name: str, schema: ModelSchema) -> MetaTable:
    return MetaTable(
        {
            "TableName": table_name,
            "KeySchema": schema["key_schema"],
            "AttributeDefinitions": schema["attribute_definitions"],
            "GlobalSecondaryIndexes": [
                {"IndexName": index["index_name"], "KeySchema": index["key_schema"]}
                for index in schema["global_secondary_indexes"]
            ],
            "LocalSecondaryIndexes": [],
        }
    )
