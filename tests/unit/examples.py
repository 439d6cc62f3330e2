"""One model of each kind, with changeable fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quill_models import Agent, Interaction, JobRun, Metric, Settings, WebhookEvent
from quill_models.dynamodb.current_table import enter, leave
from quill_models.dynamodb.table import Table
from quill_models.models import INDEXES, QuillModel

NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2031, 5, 17, tzinfo=UTC)


@contextmanager
def entered(table: Table) -> Iterator[None]:
    """Make a table the current one for the block."""
    enter(table)
    try:
        yield
    finally:
        leave(table)


def agent(**changes: Any) -> Agent:
    fields: dict[str, Any] = {
        "agent_id": "7",
        "name": "Ada",
        "email": "ada@example.org",
        "team": "north",
        "external_ids": {"hubspot": "1184062"},
        "source_updated_at": NOON,
    }
    return Agent(**{**fields, **changes})


def interaction(**changes: Any) -> Interaction:
    fields: dict[str, Any] = {
        "interaction_id": "call-1",
        "source": "hubspot",
        "external_id": "900",
        "agent_id": "7",
        "contact_id": "c9",
        "channel": "call",
        "direction": "inbound",
        "started_at": NOON,
        "ended_at": NOON + timedelta(minutes=3),
        "duration_seconds": 180,
        "subject": "Renewal",
        "attributes": {"queue": "sales"},
    }
    return Interaction(**{**fields, **changes})


def metric(**changes: Any) -> Metric:
    fields: dict[str, Any] = {
        "scope": "agent:7",
        "name": "calls",
        "grain": "day",
        "bucket_start": MIDNIGHT,
        "value": 12,
        "unit": "calls",
        "dimensions": {"channel": "call"},
        "computed_at": NOON,
    }
    return Metric(**{**fields, **changes})


def job_run(**changes: Any) -> JobRun:
    fields: dict[str, Any] = {
        "job_name": "sync",
        "window": "2031-05-17T12",
        "run_id": "r1",
        "owner": "host:1",
        "started_at": NOON,
        "lease_expires_at": NOON + timedelta(minutes=5),
        "checkpoint": {"page": 3},
        "stats": {"rows": 10},
    }
    return JobRun(**{**fields, **changes})


def webhook_event(**changes: Any) -> WebhookEvent:
    fields: dict[str, Any] = {
        "source": "hubspot",
        "event_key": "e1",
        "event_type": "contact.creation",
        "object_type": "contact",
        "object_id": "123",
        "occurred_at": NOON,
        "received_at": NOON + timedelta(seconds=1),
        "payload": {"objectId": 123},
    }
    return WebhookEvent(**{**fields, **changes})


EXAMPLES: dict[str, Callable[..., QuillModel]] = {
    "agent": agent,
    "interaction": interaction,
    "metric": metric,
    "job_run": job_run,
    "webhook_event": webhook_event,
}

KINDS = pytest.mark.parametrize("kind", EXAMPLES)
COMPOSED = ("pk", "sk", *(f"{index}{part}" for index in INDEXES for part in ("pk", "sk")))


def table(clock: datetime = NOON, **given_settings: Any) -> Table:
    return Table(Settings(**given_settings), lambda: clock)
