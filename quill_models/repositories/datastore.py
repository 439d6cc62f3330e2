"""The DynamoDB-shaped adapter: five calls on keys and dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from quill_models.dynamodb.attribute_values import from_attribute_value, to_attribute_value
from quill_models.dynamodb.items import (
    PK,
    SK,
    TTL,
    WRITE_TOKEN,
    Condition,
    RawItem,
    check_size,
    key_of,
    new_token,
    raw_key,
)
from quill_models.dynamodb.table import Table
from quill_models.models import INDEX_KEYS
from quill_models.telemetry.operations import begun, followed, operation
from quill_models.values.clock import epoch_text, expiry
from quill_models.values.conversion import shown
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import PARTITION_KEY_BYTES, SORT_KEY_BYTES, Key
from quill_models.writes.driver import send
from quill_models.writes.put_if_absent import PutIfAbsent

__all__ = ["DataStore", "DynamoDataStore", "StoredItem"]

# The keys of the table and its indexes, and attributes of the package.
_RESERVED = INDEX_KEYS | {PK, SK, TTL, WRITE_TOKEN}


class StoredItem(dict[str, Any]):
    """A stored item as a dictionary, with its key and expiry as attributes.

    Attributes:
        key: The key of the item.
        expires_at: Epoch seconds at which the item expires. ``None`` if it never expires.
    """

    def __init__(self, attributes: Mapping[str, Any], key: Key, expires_at: int | None) -> None:
        super().__init__(attributes)
        self.key = key
        self.expires_at = expires_at


@runtime_checkable
class DataStore(Protocol):
    """The interface of a table for ETL code. An expired item is absent for every call."""

    def put(
        self,
        key: Key,
        item: Mapping[str, Any],
        *,
        if_not_exists: bool = False,
        ttl: datetime | timedelta | None = None,
    ) -> bool:
        """Store an ``item`` under a ``key``, until its ``ttl`` if one is given.

        With ``if_not_exists``, return ``False`` and write nothing if an item exists.
        """
        ...

    def get(self, key: Key) -> dict[str, Any] | None:
        """Return the item under a ``key``, or ``None``."""
        ...

    def query(self, pk: str, sk_prefix: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the items of a partition ``pk`` in sort-key order, fetched page by page.

        With ``sk_prefix``, only items whose sort key starts with it.
        """
        ...

    def delete(self, key: Key) -> None:
        """Delete the item under a ``key``. An absent item is not an error."""
        ...

    def check_and_mark(self, key: Key, ttl: datetime | timedelta) -> bool:
        """Return ``True`` to exactly one caller per ``key`` until the ``ttl`` of its mark."""
        ...


class DynamoDataStore:
    """A `DataStore` on one DynamoDB table.

    Keys are used unchanged. If their parts come from outside, compose them with
    `quill_models.compose`. The partitions of the models (``AGENT#…``, ``JOB#…``, …) are in the
    same table.
    """

    OPERATIONS = "store"

    def __init__(self, table: Table) -> None:
        self._table = table

    @operation
    def put(
        self,
        key: Key,
        item: Mapping[str, Any],
        *,
        if_not_exists: bool = False,
        ttl: datetime | timedelta | None = None,
    ) -> bool:
        """Store an item.

        Args:
            key: The key of the item.
            item: Names and values: text, numbers (exact), booleans, ``None``, bytes, mappings,
                lists and sets. Reserved are the names of keys of the table and its indexes
                (``pk``, ``gsi1pk`` …), ``ttl`` and ``write_token``.
            if_not_exists: Write only if there is no item, or an expired one.
            ttl: Expiry, as an aware time or as a time from now, in whole seconds.

        Returns:
            ``True`` if the item was written, ``False`` if one exists. A retry after a lost
            response also returns ``True``.

        Raises:
            InvalidValue: DynamoDB cannot store the key, a name or a value.
            InvalidPayload: The item is over 400 KB.

        Cost:
            One request: one write unit per KB, also if it returns ``False``.
        """
        stored = self._stored(key, item, ttl)
        if if_not_exists:
            return send(self._table, PutIfAbsent(self._table, stored))
        self._table.put(stored)
        return True

    @operation
    def get(self, key: Key) -> StoredItem | None:
        """Return the item under a key. Cost: one consistent read, a read unit per 4 KB.

        Returns:
            The item with ``.key`` and ``.expires_at``. Numbers are ``Decimal``, times are text,
            and tuples are lists. ``None`` if there is no item, or it has expired.
        """
        _check_key(key)
        item = self._table.get(key)
        return None if item is None else _read(item)

    def query(self, pk: str, sk_prefix: str | None = None) -> Iterator[StoredItem]:
        """Yield the items of a partition in sort-key order (UTF-8 bytes).

        Args:
            pk: The partition key.
            sk_prefix: Yield only items whose sort key starts with it. End it with the delimiter,
                ``1#`` rather than ``1``, so that it does not match ``10#`` as well.

        Cost:
            One strongly consistent query for each page of up to 1 MB, when the page is needed.
            One read unit per 4 KB.
        """
        _check_key(Key(pk, sk_prefix or "-"))
        condition = Condition("#pk = :pk", {"#pk": PK}, {":pk": {"S": pk}})
        if sk_prefix:
            condition = Condition(
                "#pk = :pk AND begins_with(#sk, :sk)",
                {"#pk": PK, "#sk": SK},
                {":pk": {"S": pk}, ":sk": {"S": sk_prefix}},
            )
        return followed(begun(self, "query"), map(_read, self._table.query_all(condition)))

    @operation
    def delete(self, key: Key) -> None:
        """Delete the item under a key. An absent item is not an error. Cost: one request.

        The delete has no condition. A retry after a lost response also deletes an item that
        another writer has put there in between.
        """
        _check_key(key)
        self._table.delete(key)

    @operation
    def check_and_mark(self, key: Key, ttl: datetime | timedelta) -> bool:
        """Return ``True`` to exactly one caller per key until its mark expires.

        This holds for any number of processes, and after lost responses and retries.

        Args:
            key: The key to mark.
            ttl: Expiry of the mark, as an aware time or as a time from now.

        Raises:
            InvalidValue: DynamoDB cannot store the key, or the time is naive.

        Cost:
            One request and one write unit, also if the key is already marked.
        """
        return send(self._table, PutIfAbsent(self._table, self._stored(key, {}, ttl)))

    def _stored(
        self, key: Key, item: Mapping[str, Any], ttl: datetime | timedelta | None
    ) -> RawItem:
        _check_key(key)
        if not isinstance(item, Mapping):
            raise InvalidValue(f"item must be a mapping, got {type(item).__name__}")
        if taken := _RESERVED.intersection(item):
            raise InvalidValue(
                f"item has reserved attributes: {', '.join(sorted(taken))}. Rename them."
            )
        attributes: RawItem = to_attribute_value(item, "item")["M"]
        stored = {**attributes, **raw_key(key), WRITE_TOKEN: {"S": new_token()}}
        if ttl is not None:
            stored[TTL] = {"N": epoch_text(expiry(ttl, self._table.clock()))}
        check_size(stored)
        return stored


def _read(item: RawItem) -> StoredItem:
    expires_at = item.get(TTL, {}).get("N")
    return StoredItem(
        {name: from_attribute_value(item[name]) for name in item if name not in _RESERVED},
        key_of(item),
        None if expires_at is None else int(expires_at),
    )


def _check_key(key: Key) -> None:
    if not isinstance(key, Key):
        raise InvalidValue(f"key must be a Key(pk, sk), got {type(key).__name__}")
    for name, text, limit in ((PK, key.pk, PARTITION_KEY_BYTES), (SK, key.sk, SORT_KEY_BYTES)):
        if not isinstance(text, str) or not text:
            raise InvalidValue(f"{name} must be text of at least one character, got {shown(text)}")
        size = len(to_attribute_value(text, name)["S"].encode())
        if size > limit:
            raise InvalidValue(f"{name} has {size} bytes; DynamoDB allows {limit}. Shorten it.")
