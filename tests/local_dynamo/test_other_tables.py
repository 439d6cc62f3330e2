"""Calls on a table with another schema."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quill_models import Agent, Key, Quill, Settings, connect
from quill_models.errors import SchemaMismatch
from quill_models.export import export_files
from quill_models.hubspot import SOURCE
from tests.local_dynamo.support import botocore_of, event

KEY = Key("a", "b")
OTHERS = {
    "another name": {"id": "S"},
    "no sort key": {"pk": "S"},
    "numbers": {"pk": "S", "sk": "N"},
    "no indexes": {"pk": "S", "sk": "S"},
}
BY_KEY: dict[str, Callable[[Quill], object]] = {
    "get": lambda quill: quill.store.get(KEY),
    "delete": lambda quill: quill.store.delete(KEY),
    "query": lambda quill: list(quill.store.query("a", "b")),
    "record": lambda quill: quill.webhook_events.record(event()),
    "put": lambda quill: quill.agents.put(Agent(agent_id="7")),
    "start": lambda quill: quill.job_runs.start("sync"),
    "attempts": lambda quill: quill.job_runs.attempts("sync", "w"),
    "migrate": lambda quill: quill.migrations.up(),
}
BY_INDEX: dict[str, Callable[[Quill], object]] = {
    "team": lambda quill: quill.agents.list_by_team("north").first(),
    "stale": lambda quill: quill.job_runs.stale().first(),
    "claim": lambda quill: quill.webhook_events.claim(SOURCE),
}


@pytest.fixture(scope="module", params=OTHERS)
def other(request: pytest.FixtureRequest, quill_endpoint: str) -> Iterator[Quill]:
    keys = OTHERS[request.param]
    table = f"other-{secrets.token_hex(8)}"
    with connect(Settings(endpoint=quill_endpoint, table=table)) as quill:
        botocore_of(quill).create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind} for name, kind in keys.items()
            ],
            KeySchema=[
                {"AttributeName": name, "KeyType": kind}
                for name, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
        )
        yield quill
        quill.schema.delete_table()


@pytest.mark.parametrize("other", [name for name in OTHERS if name != "no indexes"], indirect=True)
@pytest.mark.parametrize("call", BY_KEY)
def test_get_table_with_other_keys_raises_schema_mismatch(other: Quill, call: str) -> None:
    with pytest.raises(SchemaMismatch, match=f"{other.settings.table} .*quill schema diff"):
        BY_KEY[call](other)


@pytest.mark.parametrize("call", BY_INDEX)
def test_get_table_without_indexes_raises_schema_mismatch(other: Quill, call: str) -> None:
    with pytest.raises(SchemaMismatch, match=f"{other.settings.table} .*quill schema diff"):
        BY_INDEX[call](other)


@pytest.mark.parametrize("other", ["another name"], indirect=True)
def test_export_other_table_raises_and_writes_nothing(other: Quill, tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match=r"key schema is another.*quill schema diff"):
        export_files(other, tmp_path / "out", format="jsonl")
    assert not list((tmp_path / "out").glob("**/*.jsonl"))
