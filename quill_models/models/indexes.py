"""The three indexes of the table. The key schema assigns lists to indexes."""

from __future__ import annotations

from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

__all__ = ["INDEXES", "INDEX_KEYS", "ByParent", "BySecond", "ByStatus"]

INDEXES = ("gsi1", "gsi2", "gsi3")
INDEX_KEYS = frozenset(f"{index}{part}" for index in INDEXES for part in ("pk", "sk"))


class ByParent(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """The items of one parent: an agent, a job, an object, a bucket."""

    class Meta:
        index_name = "gsi1"
        projection = AllProjection()

    gsi1pk = UnicodeAttribute(hash_key=True)
    gsi1sk = UnicodeAttribute(range_key=True)


class BySecond(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """The second list of each kind: team, contact, lease or success, work."""

    class Meta:
        index_name = "gsi2"
        projection = AllProjection()

    gsi2pk = UnicodeAttribute(hash_key=True)
    gsi2sk = UnicodeAttribute(range_key=True)


class ByStatus(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """The items of one status or one day."""

    class Meta:
        index_name = "gsi3"
        projection = AllProjection()

    gsi3pk = UnicodeAttribute(hash_key=True)
    gsi3sk = UnicodeAttribute(range_key=True)
