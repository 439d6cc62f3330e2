from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

from quill_models import Backend, Quill, Settings, Transaction, connect
from quill_models.migrations import Migrations
from quill_models.repositories import Agents, Interactions, JobRuns, Metrics, WebhookEvents
from quill_models.repositories.datastore import DynamoDataStore
from quill_models.schema import Schema, SchemaDiff


def settings() -> None:
    assert_type(Settings.load(), Settings)
    assert_type(Settings.load(Path(".env"), {"QUILL_TABLE": "quill"}), Settings)
    assert_type(Settings.load(env_file=None, environ={}), Settings)
    given = Settings(backend=Backend.AWS, table="quill", region="eu-west-1", max_attempts=3)
    assert_type(given.backend, Backend)
    assert_type(given.endpoint, str | None)
    assert_type(given.table, str)
    assert_type(given.region, str | None)
    assert_type(given.webhook_retention, timedelta | None)
    assert_type(given.job_retention, timedelta | None)
    assert_type(given.deadline, timedelta)
    assert_type(given.tags, Mapping[str, str])


def connecting() -> None:
    assert_type(connect(), Quill)
    assert_type(connect(Settings(), clock=lambda: datetime.now(UTC)), Quill)
    with connect(Settings(endpoint="http://localhost:8000")) as quill:
        assert_type(quill, Quill)


def parts(quill: Quill) -> None:
    assert_type(quill.settings, Settings)
    assert_type(quill.store, DynamoDataStore)
    assert_type(quill.schema, Schema)
    assert_type(quill.agents, Agents)
    assert_type(quill.interactions, Interactions)
    assert_type(quill.metrics, Metrics)
    assert_type(quill.job_runs, JobRuns)
    assert_type(quill.webhook_events, WebhookEvents)
    assert_type(quill.migrations, Migrations)
    assert_type(quill.transaction(), Transaction)
    assert_type(quill.close(), None)


def schema(quill: Quill) -> None:
    assert_type(quill.schema.apply(), list[str])
    assert_type(quill.schema.apply(print, stream=False, delete_indexes=["gsi1"]), list[str])
    assert_type(quill.schema.diff(), SchemaDiff)
    assert_type(quill.schema.diff().is_equal, bool)
    assert_type(quill.schema.grow_shards(8), datetime | None)
    assert_type(quill.schema.delete_table(), None)
