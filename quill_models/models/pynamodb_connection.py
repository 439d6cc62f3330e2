"""PynamoDB's own calls: they go to the current table, over the client that it has."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn, Self

from pynamodb._schema import ModelSchema
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection
from pynamodb.expressions.condition import Condition
from pynamodb.models import BatchWrite, Model

from quill_models.dynamodb.current_table import current_table, known_shards
from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.table import Table
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["CurrentMeta", "PynamoDBCalls"]


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


def _shared_connection(table: Table, schema: Callable[[], ModelSchema]) -> TableConnection:
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


class PynamoDBCalls(Model):
    """What PynamoDB's users call on a model, and what PynamoDB itself asks it for."""

    @abstractmethod
    def to_item(self, shards: int) -> RawItem:
        """The item as it is stored, in DynamoDB's wire format."""

    @abstractmethod
    def external_id_keys(self) -> list[Key]:
        """The keys under which the item claims its ids in other systems."""

    @abstractmethod
    def stamp(self, table: Table, created_at: datetime | None = None) -> str:
        """Set what every stored item carries."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        return _shared_connection(current_table(), cls._get_schema)

    def serialize(self, null_check: bool = True) -> RawItem:  # noqa: FBT001, FBT002, ARG002
        """The item as PynamoDB sends it."""
        return self.to_item(known_shards())

    def save(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> dict[str, Any]:
        """PynamoDB's unconditional put. The repositories' calls are the ones to prefer.

        One request.

        Args:
            condition: of PynamoDB's expressions, such as ``Agent.team.exists()``.
            add_version_condition: has no effect, as no model has a version attribute.

        Returns:
            What DynamoDB answered.

        Raises:
            InvalidValue: it has external ids, which only a repository can claim.
        """
        self.refuse_claims("save")
        self.prepare_save()
        return super().save(condition, add_version_condition=add_version_condition)

    def update(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: an update of some attributes would leave the composed keys as they were.

        Raises:
            InvalidValue: always. No request.
        """
        raise InvalidValue(
            f"{type(self).__name__} cannot be updated attribute by attribute, as its keys would "
            "no longer say what it is. Set the fields and save() it, or use the repository's put."
        )

    def get_update_kwargs_from_instance(self, *_: Any, **__: Any) -> NoReturn:
        """Refused, as `update`."""
        self.update()

    def get_save_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
    ) -> dict[str, Any]:
        """PynamoDB's put in a transaction; refused as `save`."""
        self.refuse_claims("save")
        self.prepare_save()
        return super().get_save_kwargs_from_instance(condition, return_values_on_condition_failure)

    def delete(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Any:
        """PynamoDB's delete. One request.

        Args:
            condition: of PynamoDB's expressions, such as ``Agent.team.exists()``.
            add_version_condition: has no effect, as no model has a version attribute.

        Returns:
            What DynamoDB answered.

        Raises:
            InvalidValue: it has external ids, which only a repository can free.
        """
        self.refuse_claims("delete")
        return super().delete(condition, add_version_condition=add_version_condition)

    def get_delete_kwargs_from_instance(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """PynamoDB's delete in a transaction; refused as `delete`."""
        self.refuse_claims("delete")
        return super().get_delete_kwargs_from_instance(*args, **kwargs)

    def refuse_claims(self, call: str) -> None:
        """Refuse a call of PynamoDB's that would leave claims to external ids behind."""
        if self.external_id_keys():
            raise InvalidValue(
                f"{self!r} has an external id, which belongs to one item only; a plain {call}() "
                f"would not see to that. Use the repository: put, record or delete."
            )

    @classmethod
    def batch_write(cls, auto_commit: bool = True) -> BatchWrite[Self]:  # noqa: FBT001, FBT002
        """PynamoDB's batch, which overwrites blindly. Prefer the repositories' ``*_many``.

        A request for each 25 items; with ``auto_commit`` also before the block ends.
        """
        return _StampingBatch(cls, auto_commit)

    def prepare_save(self) -> None:
        """Stamp it for a save by PynamoDB. A request once a minute, for the number of shards."""
        table = current_table()
        _ = table.shards
        self.stamp(table, self.attribute_values.get("created_at"))


class _StampingBatch(BatchWrite[Any]):
    """PynamoDB's batch, whose items carry what every stored item does."""

    def save(self, put_item: PynamoDBCalls) -> None:
        put_item.refuse_claims("save")
        put_item.prepare_save()
        super().save(put_item)

    def delete(self, del_item: PynamoDBCalls) -> None:
        del_item.refuse_claims("delete")
        super().delete(del_item)
