"""pydynantic. It composes the keys itself, and adds its marker and a field for the shard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pydynantic import (
    ConditionCheckFailedError,
    Entity,
    Table,
    attr_not_exists,
    created_at_attr,
    key,
    ttl_attr,
    updated_at_attr,
)

from benchmarks.writes.contender import Counts, RunSetup, Write
from benchmarks.writes.contenders.boto3_client import client_of
from benchmarks.writes.events import Row
from quill_models.models import INDEXES

__all__ = ["put"]

# Fields that pydynantic stamps or composes.
_ITS_OWN = {"pk", "sk", "created_at", "updated_at"}.union(
    f"{index}{part}" for index in INDEXES for part in ("pk", "sk")
)


@contextmanager
def put(setup: RunSetup) -> Iterator[Write]:
    """Put each event conditionally."""
    entity = _entity(setup)
    events = [entity(**_fields(row)) for row in setup.rows]
    absent = attr_not_exists("pk")

    def put_event(event: Any) -> bool:
        try:
            entity.put(event, condition=absent)
        except ConditionCheckFailedError:
            return False
        return True

    yield lambda: Counts.of(map(put_event, events))


def _fields(row: Row) -> Row:
    fields = {name: value for name, value in row.items() if name not in _ITS_OWN}
    # As text, as the other contenders store it. pydynantic would store a map.
    fields["payload"] = json.dumps(row["payload"])
    fields["shard"] = row["gsi2pk"].rpartition("#")[2]
    return fields


def _entity(setup: RunSetup) -> Any:
    table = Table(
        name=setup.settings.table,
        pk="pk",
        sk="sk",
        indexes={index: {"pk": f"{index}pk", "sk": f"{index}sk"} for index in INDEXES},
        client=client_of(setup),
    )

    class Event(Entity, table=table, name="webhook_event"):  # type: ignore[call-arg, misc]
        kind: str
        source: str
        event_key: str
        event_type: str
        object_type: str
        object_id: str
        occurred_at: datetime
        received_at: datetime
        payload: str
        digest: str
        status: str
        attempts: int
        write_token: str
        shard: str
        created_at: datetime | None = created_at_attr()
        updated_at: datetime | None = updated_at_attr()
        ttl: datetime | None = ttl_attr()

        class Meta:
            primary = key(pk="WEBHOOK#{source}#{event_key}", sk="EVENT")
            by_object = key(
                index="gsi1", pk="OBJECT#{source}#{object_type}#{object_id}", sk="{occurred_at}"
            )
            by_work = key(index="gsi2", pk="WORK#{source}#{shard}", sk="{received_at}")
            by_status = key(index="gsi3", pk="EVENTS#{source}#{status}#{shard}", sk="{received_at}")

    return Event
