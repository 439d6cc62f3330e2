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
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import PARTITION_KEY_BYTES, SORT_KEY_BYTES, Key
from quill_models.writes.driver import send
from quill_models.writes.put_if_absent import PutIfAbsent

__all__ = ["DataStore", "DynamoDataStore", "StoredItem"]

# What the table and its indexes are keyed by, and what the package itself stores.
_RESERVED = INDEX_KEYS | {PK, SK, TTL, WRITE_TOKEN}


class StoredItem(dict[str, Any]):
    """An item as a dictionary of what was put, with its key and expiry beside it.

    Attributes:
        key: where it lies.
        expires_at: epoch seconds at which it expires; ``None`` for never.
    """

    def __init__(self, attributes: Mapping[str, Any], key: Key, expires_at: int | None) -> None:
        super().__init__(attributes)
        self.key = key
        self.expires_at = expires_at


@runtime_checkable
class DataStore(Protocol):
    """What ETL code needs of a table. An expired item is absent to every call."""

    def put(
        self,
        key: Key,
        item: Mapping[str, Any],
        *,
        if_not_exists: bool = False,
        ttl: datetime | timedelta | None = None,
    ) -> bool:
        """Store an ``item`` under a ``key``, until its ``ttl`` where one is given.

        With ``if_not_exists`` only where there is none. ``True`` where written, ``False`` where
        the condition kept it out.
        """
        ...

    def get(self, key: Key) -> dict[str, Any] | None:
        """The item under a ``key``, or ``None``."""
        ...

    def query(self, pk: str, sk_prefix: str | None = None) -> Iterator[dict[str, Any]]:
        """The items of a partition ``pk`` in sort-key order, fetched page by page.

        With ``sk_prefix`` only those whose sort key begins so.
        """
        ...

    def delete(self, key: Key) -> None:
        """Delete the item under a ``key``; deleting what is not there is no error."""
        ...

    def check_and_mark(self, key: Key, ttl: datetime | timedelta) -> bool:
        """``True`` for exactly one caller per ``key`` until its mark expires, by its ``ttl``."""
        ...


class DynamoDataStore:
    """A `DataStore` on one DynamoDB table.

    Keys are taken as they are: compose them with `quill_models.compose` where their parts come
    from outside. The partitions of the models (``AGENT#…``, ``JOB#…``, …) are in the same
    table.
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
        """Store an item. One request; one write unit per KB, also where it is kept out.

        Args:
            key: where to.
            item: names and values; text, numbers (exact), booleans, ``None``, bytes, mappings,
                lists and sets. The names of keys, of the table and of its indexes (``pk``,
                ``gsi1pk`` …), ``ttl`` and ``write_token`` are taken.
            if_not_exists: only where there is no item, or an expired one.
            ttl: when it expires, as an aware time or as a time from now, kept in whole seconds.

        Returns:
            ``True`` where written, ``False`` where an item was there. A caller whose first
            answer was lost, and whose write was sent again, still hears ``True``.

        Raises:
            InvalidValue: a key, name or value that DynamoDB cannot store as it is.
            InvalidPayload: the item is over 400 KB.
        """
        stored = self._stored(key, item, ttl)
        if if_not_exists:
            return send(self._table, PutIfAbsent(self._table, stored))
        self._table.put(stored)
        return True

    @operation
    def get(self, key: Key) -> StoredItem | None:
        """The item under a key. One strongly consistent request; one read unit per 4 KB.

        Returns:
            What was put, with ``.key`` and ``.expires_at``. Numbers are ``Decimal``, times the text
            they are stored as, tuples lists. ``None`` where there is none, or it has expired.
        """
        _check_key(key)
        item = self._table.get(key)
        return None if item is None else _read(item)

    def query(self, pk: str, sk_prefix: str | None = None) -> Iterator[StoredItem]:
        """The items of a partition in sort-key order (UTF-8 bytes).

        Lazy: one strongly consistent request for each page of up to 1 MB, made when the page
        before it is used up; one read unit per 4 KB.

        Args:
            pk: the partition key.
            sk_prefix: only items whose sort key begins so. End it with the delimiter, ``1#``
                rather than ``1``, so that it does not match ``10#`` as well.
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
        """Delete the item under a key; deleting what is not there is no error. One request.

        Without a condition, so that a request that is sent again because its answer was lost also
        deletes what another put there in between.
        """
        _check_key(key)
        self._table.delete(key)

    @operation
    def check_and_mark(self, key: Key, ttl: datetime | timedelta) -> bool:
        """Whether this caller is the one that marks the key. One request.

        ``True`` for exactly one caller per key until the mark expires, in any number of
        processes, also when answers are lost and requests repeated. Where the key is marked, that
        is a write unit, too.

        Args:
            key: what is marked.
            ttl: when the mark expires, as an aware time or as a time from now.

        Raises:
            InvalidValue: a key that DynamoDB cannot store, or a naive time.
        """
        return send(self._table, PutIfAbsent(self._table, self._stored(key, {}, ttl)))

    def _stored(
        self, key: Key, item: Mapping[str, Any], ttl: datetime | timedelta | None
    ) -> RawItem:
        _check_key(key)
        if not isinstance(item, Mapping):
            raise InvalidValue(f"an item must be a mapping, not {type(item).__name__}")
        if taken := _RESERVED.intersection(item):
            raise InvalidValue(f"an item may not have the attributes {sorted(taken)}")
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
        raise InvalidValue(f"a key must be a Key(pk, sk), not {type(key).__name__}: {key!r}")
    for name, text, limit in ((PK, key.pk, PARTITION_KEY_BYTES), (SK, key.sk, SORT_KEY_BYTES)):
        if not isinstance(text, str) or not text:
            raise InvalidValue(f"{name} must be text of at least one character, not {text!r}")
        # Only valid Unicode text has a form in DynamoDB.
        size = len(to_attribute_value(text, name)["S"].encode())
        if size > limit:
            raise InvalidValue(f"{name} has {size} bytes; DynamoDB allows {limit}")
