"""What the calls promise, as plain Python: a dictionary for each repository, nothing stored.

Written from the docstrings, and so short that one can see that it is right. All that is hard about
the package (expiry, claims, retries, lists that follow) is missing here on purpose.
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
    "Row",
    "Rows",
    "StoreItems",
    "Told",
    "World",
    "content_of",
    "increment_identity",
    "whole_second",
]

# One stored thing: its fields, and when it was created, last written, and expires.
Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]

STAMPS = ("created_at", "updated_at", "ttl")


class Told(NamedTuple):
    """What a call says it did, and the item that it says is stored."""

    outcome: str | bool
    row: Row | None = None


def content_of(row: Row) -> Row:
    """What the caller gave."""
    return {name: value for name, value in row.items() if name not in STAMPS}


def whole_second(instant: datetime) -> datetime:
    """The first whole second that is not before an instant: when what expires then is gone."""
    whole = instant.replace(microsecond=0)
    return whole if whole == instant else whole + timedelta(seconds=1)


def _no_claims(_: Row) -> list[tuple[str, str]]:
    return []


@dataclass(frozen=True)
class Kind:
    """What differs between the repositories.

    Attributes:
        identity: the fields by which one thing is told from another.
        version: the field that says when the source changed it.
        digest: the field that alone says whether two facts are the same; else all of them.
        claims: the external ids of a row, as pairs of source and id, in order.
        retention: how long one is kept.
        increment_retention: how long it is remembered that something was added to one.
    """

    identity: tuple[str, ...]
    version: str | None = None
    digest: str | None = None
    claims: Callable[[Row], list[tuple[str, str]]] = _no_claims
    retention: timedelta | None = None
    increment_retention: timedelta = timedelta(0)


class Collection:
    """One repository."""

    def __init__(self, kind: Kind, rows: Rows | None = None) -> None:
        self.kind = kind
        self.rows: Rows = {} if rows is None else rows

    def copy(self) -> Self:
        """Another one that goes its own way. Rows are replaced, never changed."""
        return type(self)(self.kind, dict(self.rows))

    def live(self, now: datetime) -> Rows:
        """What is there: all that has not expired."""
        return {
            identity: row
            for identity, row in self.rows.items()
            if row["ttl"] is None or row["ttl"] > now
        }

    def claims(self, now: datetime) -> Rows:
        """Whose each external id is."""
        return {claim: row for row in self.live(now).values() for claim in self.kind.claims(row)}

    def state(self, name: str, now: datetime) -> dict[str, Rows]:
        """Everything that can be told from outside."""
        return {name: self.live(now), f"{name} by external id": self.claims(now)}

    def ends(self) -> list[datetime]:
        """When what there is expires, or has expired."""
        return [row["ttl"] for row in self.rows.values() if row["ttl"] is not None]

    def sweep(self, now: datetime) -> None:
        """Forget what has expired."""
        self.rows = self.live(now)

    def apply(self, verb: str, given: Row, now: datetime) -> Told | None:
        """One call for one item, which is done in no time."""
        told: Told | None = getattr(self, verb)(given, now)
        return told

    def record(self, given: Row, now: datetime) -> Told:
        """Store what never changes."""
        stored = self.live(now).get(self.identity(given))
        if stored is not None:
            return Told("duplicate" if self._same(stored, given) else "conflict", stored)
        return self._conflict(given, now) or self._written("created", None, given, now)

    def put(self, given: Row, now: datetime) -> Told:
        """Store what changes at its source."""
        stored = self.live(now).get(self.identity(given))
        if stored is None:
            return self._conflict(given, now) or self._written("created", None, given, now)
        if content_of(stored) == given:
            return Told("unchanged", stored)
        if self.kind.version is not None:
            old, new = stored[self.kind.version], given[self.kind.version]
            if old is not None and new is not None and new < old:
                return Told("stale", stored)
        return self._conflict(given, now) or self._written("updated", stored, given, now)

    def delete(self, given: Row, now: datetime) -> None:  # noqa: ARG002
        """Forget it."""
        self.rows.pop(self.identity(given), None)

    def identity(self, row: Row) -> tuple[Any, ...]:
        """By what one is told from another."""
        return tuple(row[name] for name in self.kind.identity)

    def _same(self, stored: Row, given: Row) -> bool:
        if self.kind.digest is not None:
            return bool(stored[self.kind.digest] == given[self.kind.digest])
        return content_of(stored) == given

    def _conflict(self, given: Row, now: datetime) -> Told | None:
        """Whether an external id is another's."""
        claims = self.claims(now)
        for claim in self.kind.claims(given):
            owner = claims.get(claim)
            if owner is not None and self.identity(owner) != self.identity(given):
                return Told("conflict", owner)
        return None

    def _written(self, outcome: str, stored: Row | None, given: Row, now: datetime) -> Told:
        kept = self.kind.retention
        row = {
            **given,
            "created_at": now if stored is None else stored["created_at"],
            "updated_at": now,
            "ttl": None if kept is None else whole_second(now + kept),
        }
        self.rows[self.identity(given)] = row
        return Told(outcome, row)


class StoreItems(Collection):
    """`quill.store`: whatever was put under a key."""

    def put(self, given: Row, now: datetime) -> Told:
        """Store it, or hear that something is there."""
        key, ttl = self.identity(given), given["ttl"]
        if given["if_not_exists"] and key in self.live(now):
            return Told(outcome=False)
        if isinstance(ttl, timedelta):
            ttl = now + ttl
        expires = None if ttl is None else whole_second(ttl)
        self.rows[key] = {"pk": key[0], "sk": key[1], "item": given["item"], "ttl": expires}
        return Told(outcome=True)

    def check_and_mark(self, given: Row, now: datetime) -> Told:
        """Put nothing where nothing is."""
        return self.put({**given, "item": {}, "if_not_exists": True}, now)


class Buckets(Collection):
    """`quill.metrics`: values that are put, and added to."""

    def __init__(self, kind: Kind, rows: Rows | None = None, counted: Rows | None = None) -> None:
        super().__init__(kind, rows)
        # The increments that are remembered.
        self.counted: Rows = {} if counted is None else counted

    def copy(self) -> Self:
        """See `Collection.copy`."""
        return type(self)(self.kind, dict(self.rows), dict(self.counted))

    def state(self, name: str, now: datetime) -> dict[str, Rows]:
        """See `Collection.state`."""
        remembered = {identity: content_of(row) for identity, row in self._remembered(now).items()}
        return {**super().state(name, now), "increments": remembered}

    def ends(self) -> list[datetime]:
        """See `Collection.ends`."""
        return [*super().ends(), *(row["ttl"] for row in self.counted.values())]

    def sweep(self, now: datetime) -> None:
        """See `Collection.sweep`."""
        super().sweep(now)
        self.counted = self._remembered(now)

    def add(self, given: Row, now: datetime) -> Told:
        """Add to a bucket, once for each event."""
        identity = increment_identity(given)
        before = self._remembered(now).get(identity)
        if before is not None:
            return Told("duplicate", content_of(before))
        self.counted[identity] = {**given, "ttl": whole_second(now + self.kind.increment_retention)}
        bucket = {
            "scope": given["scope"],
            "name": given["name"],
            "grain": given["grain"],
            "bucket_start": given["grain"].floor(given["at"]),
        }
        new = {**bucket, "value": 0, "unit": None, "dimensions": {}, "computed_at": None}
        stored = self.rows.get(self.identity(bucket))
        had = content_of(stored or new)
        self._written("updated", stored, {**had, "value": had["value"] + given["amount"]}, now)
        return Told("created", given)

    def _remembered(self, now: datetime) -> Rows:
        return {identity: row for identity, row in self.counted.items() if row["ttl"] > now}


def increment_identity(increment: Row) -> tuple[Any, ...]:
    """The event and the bucket."""
    start = increment["grain"].floor(increment["at"])
    return (
        increment["event_key"],
        increment["scope"],
        increment["name"],
        increment["grain"],
        start,
    )


class World:
    """All repositories of a table."""

    def __init__(self, collections: Mapping[str, Collection]) -> None:
        self.collections = dict(collections)

    def __getitem__(self, repository: str) -> Collection:
        return self.collections[repository]

    def copy(self) -> World:
        """Another one that goes its own way."""
        return World({name: each.copy() for name, each in self.collections.items()})

    def ends(self) -> list[datetime]:
        """When things expire, or have expired."""
        return [end for each in self.collections.values() for end in each.ends()]

    def sweep(self, now: datetime) -> None:
        """Forget what has expired."""
        for each in self.collections.values():
            each.sweep(now)

    def rows(self) -> list[Row]:
        """Whatever is stored, of all kinds."""
        return [row for each in self.collections.values() for row in each.rows.values()]

    def state(self, now: datetime) -> dict[str, Rows]:
        """Everything that can be told from outside."""
        return {
            what: rows
            for name, each in self.collections.items()
            for what, rows in each.state(name, now).items()
            if rows
        }
