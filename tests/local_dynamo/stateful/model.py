"""The model of a table: a dictionary in memory for each repository.

It follows the docstrings of the package and is short enough to check by reading. Retries, claim
items and index copies are left out on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

__all__ = [
    "STAMPS",
    "Buckets",
    "Collection",
    "Kind",
    "Result",
    "Row",
    "Rows",
    "StoreItems",
    "TableModel",
    "ceil_to_second",
    "content_of",
    "increment_identity",
]

# The fields and stamps of one stored item.
Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]

STAMPS = ("created_at", "updated_at", "ttl")


class Result(NamedTuple):
    """The outcome of a call for one item, and the item that it returns."""

    outcome: str | bool
    row: Row | None = None


def content_of(row: Row) -> Row:
    """Return the fields that the caller gave."""
    return {name: value for name, value in row.items() if name not in STAMPS}


def ceil_to_second(instant: datetime) -> datetime:
    """Round an instant up to a second, as a TTL is stored."""
    floor = instant.replace(microsecond=0)
    return floor if floor == instant else floor + timedelta(seconds=1)


def _no_claims(_: Row) -> list[tuple[str, str]]:
    return []


@dataclass(frozen=True)
class Kind:
    """The differences between the repositories.

    Attributes:
        identity: The names of the identity fields.
        version: The field with the time of the change at the source.
        digest: The field that decides whether two items are equal. None for all fields.
        claims: Returns the external ids of a row, as sorted pairs of source and id.
        retention: How long an item is kept. None for no limit.
        increment_retention: How long an increment is kept, to detect duplicates.
    """

    identity: tuple[str, ...]
    version: str | None = None
    digest: str | None = None
    claims: Callable[[Row], list[tuple[str, str]]] = _no_claims
    retention: timedelta | None = None
    increment_retention: timedelta = timedelta(0)


class Collection:
    """The items of one repository."""

    def __init__(self, kind: Kind, rows: Rows | None = None) -> None:
        self.kind = kind
        self.rows: Rows = {} if rows is None else rows

    def copy(self) -> Self:
        """Return an independent copy. It shares the rows, which are replaced and never changed."""
        return type(self)(self.kind, dict(self.rows))

    def live(self, now: datetime) -> Rows:
        """Return the rows that have not expired."""
        return {
            identity: row
            for identity, row in self.rows.items()
            if row["ttl"] is None or row["ttl"] > now
        }

    def claims(self, now: datetime) -> Rows:
        """Return the row of each external id."""
        return {claim: row for row in self.live(now).values() for claim in self.kind.claims(row)}

    def state(self, name: str, now: datetime) -> dict[str, Rows]:
        """Return all items that a client can observe, by collection."""
        return {name: self.live(now), f"{name} by external id": self.claims(now)}

    def expiries(self) -> list[datetime]:
        """Return the expiry of each row, future or past."""
        return [row["ttl"] for row in self.rows.values() if row["ttl"] is not None]

    def delete_expired(self, now: datetime) -> None:
        """Delete the expired rows."""
        self.rows = self.live(now)

    def apply(self, verb: str, given: Row, now: datetime) -> Result | None:
        """Execute a call for one item."""
        result: Result | None = getattr(self, verb)(given, now)
        return result

    def record(self, given: Row, now: datetime) -> Result:
        """Store an item that never changes."""
        stored = self.live(now).get(self.identity(given))
        if stored is not None:
            return Result("duplicate" if self._same(stored, given) else "conflict", stored)
        return self._conflict(given, now) or self._written("created", None, given, now)

    def put(self, given: Row, now: datetime) -> Result:
        """Store an item that changes at its source."""
        stored = self.live(now).get(self.identity(given))
        if stored is None:
            return self._conflict(given, now) or self._written("created", None, given, now)
        if content_of(stored) == given:
            return Result("unchanged", stored)
        if self.kind.version is not None:
            old, new = stored[self.kind.version], given[self.kind.version]
            if old is not None and new is not None and new < old:
                return Result("stale", stored)
        return self._conflict(given, now) or self._written("updated", stored, given, now)

    def delete(self, given: Row, now: datetime) -> None:  # noqa: ARG002
        """Delete an item."""
        self.rows.pop(self.identity(given), None)

    def identity(self, row: Row) -> tuple[Any, ...]:
        """Return the values of the identity fields."""
        return tuple(row[name] for name in self.kind.identity)

    def _same(self, stored: Row, given: Row) -> bool:
        if self.kind.digest is not None:
            return bool(stored[self.kind.digest] == given[self.kind.digest])
        return content_of(stored) == given

    def _conflict(self, given: Row, now: datetime) -> Result | None:
        """Return a conflict if another item has one of the external ids."""
        claims = self.claims(now)
        for claim in self.kind.claims(given):
            other = claims.get(claim)
            if other is not None and self.identity(other) != self.identity(given):
                return Result("conflict", other)
        return None

    def _written(self, outcome: str, stored: Row | None, given: Row, now: datetime) -> Result:
        retention = self.kind.retention
        row = {
            **given,
            "created_at": now if stored is None else stored["created_at"],
            "updated_at": now,
            "ttl": None if retention is None else ceil_to_second(now + retention),
        }
        self.rows[self.identity(given)] = row
        return Result(outcome, row)


class StoreItems(Collection):
    """The items of `quill.store`."""

    def put(self, given: Row, now: datetime) -> Result:
        """Store an item, unless ``if_not_exists`` is set and one is stored already."""
        key, ttl = self.identity(given), given["ttl"]
        if given["if_not_exists"] and key in self.live(now):
            return Result(outcome=False)
        if isinstance(ttl, timedelta):
            ttl = now + ttl
        expires = None if ttl is None else ceil_to_second(ttl)
        self.rows[key] = {"pk": key[0], "sk": key[1], "item": given["item"], "ttl": expires}
        return Result(outcome=True)

    def check_and_mark(self, given: Row, now: datetime) -> Result:
        """Store an empty item if none is stored."""
        return self.put({**given, "item": {}, "if_not_exists": True}, now)


class Buckets(Collection):
    """The buckets of `quill.metrics`, which are put and added to."""

    def __init__(
        self, kind: Kind, rows: Rows | None = None, increments: Rows | None = None
    ) -> None:
        super().__init__(kind, rows)
        self.increments: Rows = {} if increments is None else increments

    def copy(self) -> Self:
        """See `Collection.copy`."""
        return type(self)(self.kind, dict(self.rows), dict(self.increments))

    def state(self, name: str, now: datetime) -> dict[str, Rows]:
        """See `Collection.state`."""
        increments = self._live_increments(now).items()
        contents = {identity: content_of(row) for identity, row in increments}
        return {**super().state(name, now), "increments": contents}

    def expiries(self) -> list[datetime]:
        """See `Collection.expiries`."""
        return [*super().expiries(), *(row["ttl"] for row in self.increments.values())]

    def delete_expired(self, now: datetime) -> None:
        """See `Collection.delete_expired`."""
        super().delete_expired(now)
        self.increments = self._live_increments(now)

    def add(self, given: Row, now: datetime) -> Result:
        """Add to a bucket once for each event."""
        identity = increment_identity(given)
        before = self._live_increments(now).get(identity)
        if before is not None:
            return Result("duplicate", content_of(before))
        self.increments[identity] = {
            **given,
            "ttl": ceil_to_second(now + self.kind.increment_retention),
        }
        bucket = {
            "scope": given["scope"],
            "name": given["name"],
            "grain": given["grain"],
            "bucket_start": given["grain"].floor(given["at"]),
        }
        new = {**bucket, "value": 0, "unit": None, "dimensions": {}, "computed_at": None}
        stored = self.rows.get(self.identity(bucket))
        content = content_of(stored or new)
        content["value"] += given["amount"]
        self._written("updated", stored, content, now)
        return Result("created", given)

    def _live_increments(self, now: datetime) -> Rows:
        return {identity: row for identity, row in self.increments.items() if row["ttl"] > now}


def increment_identity(increment: Row) -> tuple[Any, ...]:
    """Return the identity of an increment: the event and the bucket."""
    start = increment["grain"].floor(increment["at"])
    return (
        increment["event_key"],
        increment["scope"],
        increment["name"],
        increment["grain"],
        start,
    )


class TableModel:
    """The collections of a table."""

    def __init__(self, collections: Mapping[str, Collection]) -> None:
        self.collections = dict(collections)

    def __getitem__(self, repository: str) -> Collection:
        return self.collections[repository]

    def copy(self) -> TableModel:
        """Return an independent copy."""
        return TableModel({name: each.copy() for name, each in self.collections.items()})

    def expiries(self) -> list[datetime]:
        """Return the expiry of each row, future or past."""
        return [end for each in self.collections.values() for end in each.expiries()]

    def delete_expired(self, now: datetime) -> None:
        """Delete the expired rows."""
        for each in self.collections.values():
            each.delete_expired(now)

    def rows(self) -> list[Row]:
        """Return the rows of all collections, expired or not."""
        return [row for each in self.collections.values() for row in each.rows.values()]

    def state(self, now: datetime) -> dict[str, Rows]:
        """Return all items that a client can observe, by collection."""
        return {
            collection: rows
            for name, each in self.collections.items()
            for collection, rows in each.state(name, now).items()
            if rows
        }
