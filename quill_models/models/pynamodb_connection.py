"""PynamoDB's own calls, on the current table and its client."""

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
    """The ``Meta`` of the models, with the name of the current table at each use."""

    @property
    def table_name(cls) -> str:
        """The name of the current table."""
        return current_table().name


class _SharedClient(Connection):
    """PynamoDB's connection on the shared botocore client."""

    def __init__(self, table: Table, meta_table: MetaTable) -> None:
        super().__init__(region=table.settings.region, host=table.settings.endpoint)
        self._table = table
        self.add_meta_table(meta_table)

    @property
    def client(self) -> Any:
        return self._table.client.botocore


def _shared_connection(table: Table, schema: Callable[[], ModelSchema]) -> TableConnection:
    """Return PynamoDB's connection to a table, created with the first call for the table."""
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
    """The methods of a model that users of PynamoDB, and PynamoDB itself, call."""

    @abstractmethod
    def key(self) -> Key:
        """See `QuillModel.key`."""

    @abstractmethod
    def to_item(self, shards: int) -> RawItem:
        """See `QuillModel.to_item`."""

    @abstractmethod
    def external_id_keys(self) -> list[Key]:
        """See `QuillModel.external_id_keys`."""

    @abstractmethod
    def stamp(self, table: Table, created_at: datetime | None = None) -> str:
        """See `QuillModel.stamp`."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        return _shared_connection(current_table(), cls._get_schema)

    def serialize(self, null_check: bool = True) -> RawItem:  # noqa: FBT001, FBT002, ARG002
        """Return the item in the wire format, for PynamoDB."""
        return self.to_item(known_shards())

    def save(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> dict[str, Any]:
        """Put the item as PynamoDB does. Prefer the calls of the repositories.

        Args:
            condition: A condition of PynamoDB, such as ``Agent.team.exists()``.
            add_version_condition: Has no effect, because no model has a version attribute.

        Returns:
            The response of DynamoDB.

        Raises:
            InvalidValue: The item has external ids, which only a repository can claim.

        Cost:
            One request.
        """
        self.refuse_claims("save")
        self.prepare_save()
        return super().save(condition, add_version_condition=add_version_condition)

    def update(self, *_: Any, **__: Any) -> NoReturn:
        """Raise, because an update of single attributes would not change the composed keys.

        Raises:
            InvalidValue: Always. Cost: no request.
        """
        raise InvalidValue(
            f"{type(self).__name__} does not support update(), because its keys follow from its "
            "fields. Set the fields and call save(), or use put of the repository."
        )

    def get_update_kwargs_from_instance(self, *_: Any, **__: Any) -> NoReturn:
        """See `update`."""
        self.update()

    def get_save_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
    ) -> dict[str, Any]:
        """Put the item in a transaction of PynamoDB; see `save`."""
        self.refuse_claims("save")
        self.prepare_save()
        return super().get_save_kwargs_from_instance(condition, return_values_on_condition_failure)

    def delete(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Any:
        """Delete the item as PynamoDB does. See `save` for the arguments. Cost: one request.

        Raises:
            InvalidValue: The item has external ids, which only a repository can release.
        """
        self.refuse_claims("delete")
        return super().delete(condition, add_version_condition=add_version_condition)

    def get_delete_kwargs_from_instance(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Delete the item in a transaction of PynamoDB; see `delete`."""
        self.refuse_claims("delete")
        return super().get_delete_kwargs_from_instance(*args, **kwargs)

    def refuse_claims(self, call: str) -> None:
        """Raise `InvalidValue` if a call of PynamoDB would ignore claims to external ids."""
        if self.external_id_keys():
            raise InvalidValue(
                f"{type(self).__name__} {self.key().pk} has an external id, which {call}() of "
                "PynamoDB does not claim or release. Use put, record or delete of the repository."
            )

    @classmethod
    def batch_write(cls, auto_commit: bool = True) -> BatchWrite[Self]:  # noqa: FBT001, FBT002
        """Return PynamoDB's batch, which overwrites items. Prefer ``*_many`` of a repository.

        Cost: one request for each 25 items, with ``auto_commit`` also before the block ends.
        """
        return _StampingBatch(cls, auto_commit)

    def prepare_save(self) -> None:
        """Stamp the item for a save by PynamoDB. Cost: one request a minute for the shards."""
        table = current_table()
        _ = table.shards
        self.stamp(table, self.attribute_values.get("created_at"))


class _StampingBatch(BatchWrite[Any]):
    """PynamoDB's batch with stamped items."""

    def save(self, put_item: PynamoDBCalls) -> None:
        put_item.refuse_claims("save")
        put_item.prepare_save()
        super().save(put_item)

    def delete(self, del_item: PynamoDBCalls) -> None:
        del_item.refuse_claims("delete")
        super().delete(del_item)
