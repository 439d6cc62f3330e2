"""Exported infrastructure code, compared with the table and the permissions that are used."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quill_models import Agent, Backend, Increment, Key, Metric, Quill, Settings, connect
from quill_models.export import export_files
from quill_models.schema.infrastructure import export_schema
from quill_models.testing import FrozenClock
from tests.local_dynamo.support import NOON, botocore_of, event, interaction
from tests.local_dynamo.test_schema_repair import delete_index
from tests.unit.wire import api_name, noticing

DAY = NOON.replace(hour=0)


def test_export_schema_json_calls_create_the_declared_table(
    quill_settings: Settings,
) -> None:
    calls = json.loads(export_schema("json", settings=quill_settings))
    with connect(quill_settings) as quill:
        client = botocore_of(quill)
        for operation, parameters in calls.items():
            getattr(client, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower())(**parameters)
            client.get_waiter("table_exists").wait(
                TableName=quill_settings.table, WaiterConfig={"Delay": 1}
            )
        assert quill.schema.diff().is_equal
        quill.schema.delete_table()


@contextmanager
def permissions_used(quill: Quill) -> Iterator[set[str]]:
    """Collect the permissions that the requests of the block need."""
    used: set[str] = set()
    in_transaction = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}

    def note(request: Any) -> None:
        operation = api_name(request)
        body = json.loads(request.body)
        if operation == "TransactWriteItems":
            for action in body["TransactItems"]:
                (kind,) = action
                used.add(in_transaction.get(kind, f"{kind}Item"))
        elif operation == "BatchExecuteStatement":
            used.update(
                f"PartiQL{statement['Statement'].split()[0].title()}"
                for statement in body["Statements"]
            )
        else:
            used.add(operation)

    with noticing(botocore_of(quill), note):
        yield used


def allowed(role: str) -> set[str]:
    policy = json.loads(export_schema("iam", role, Settings(backend=Backend.AWS)))
    return {
        action.removeprefix("dynamodb:")
        for statement in policy["Statement"]
        for action in statement["Action"]
    }


def read_all(quill: Quill) -> None:
    quill.agents.get("ada")
    quill.agents.list_by_team("north").page(2)
    quill.interactions.get_by_external_id("hubspot", "1")
    quill.metrics.series("global", "calls", "day").first()
    quill.job_runs.last_success("sync")
    assert quill.job_runs.watermark("sync", "crm").value is None
    quill.webhook_events.list_by_status("hubspot", "pending").count()


def write_all(quill: Quill) -> None:
    read_all(quill)
    quill.agents.put(Agent(agent_id="ada", external_ids={"a": "1"}))
    quill.agents.put(Agent(agent_id="ada", external_ids={"a": "2"}))
    quill.interactions.record_many(
        interaction(str(n), external_id=str(n), source="s") for n in "12"
    )
    quill.metrics.put(Metric(scope="global", name="n", grain="day", bucket_start=DAY, value=1))
    quill.metrics.add(Increment("global", "calls", "day", NOON, 1, "e"))
    quill.webhook_events.record_many((event(str(n)) for n in range(3)), prefer="cost")
    # Most of these are stored already, so later chunks are read first.
    quill.webhook_events.record_many(event(str(n % 3)) for n in range(250))
    with quill.job_runs.start("sync", "w", lease=timedelta(minutes=1)) as run:
        quill.job_runs.watermark("sync", "crm").advance(1, run=run)
    (claimed,) = quill.webhook_events.claim("hubspot", limit=1)
    with quill.transaction() as tx:
        tx.webhook_events.complete(claimed)
        tx.metrics.add(Increment("global", "calls", "day", NOON, 1, "f"))
    quill.interactions.delete("1")


@pytest.mark.parametrize(("role", "does"), [("reader", read_all), ("writer", write_all)])
@pytest.mark.usefixtures("quill_clock")
def test_policy_reader_and_writer_allow_exactly_their_requests(
    quill: Quill, role: str, does: Callable[[Quill], None], tmp_path: Path
) -> None:
    with permissions_used(quill) as used:
        does(quill)
        export_files(quill, tmp_path, format="jsonl")
        quill._table.get_many([Agent(agent_id="ada").key()])
        quill.schema.diff()
    # The diff reads backups and tags on AWS only.
    on_aws = {"DescribeContinuousBackups", "ListTagsOfResource"}
    assert used == allowed(role) - on_aws


def test_policy_migrator_allows_exactly_its_requests(index_settings: Settings) -> None:
    with (
        connect(index_settings, clock=FrozenClock(NOON)) as quill,
        permissions_used(quill) as used,
    ):
        quill.schema.apply()
        delete_index(quill)
        quill.schema.apply()
        quill.store.delete(Key("QUILL", "MIGRATION#0003"))
        write_all(quill)
        quill._table.get_many([Agent(agent_id="ada").key()])
        assert len(quill.migrations.up()) == 1
    with connect(index_settings) as quill:
        quill.schema.delete_table()
    on_aws = {
        "DescribeContinuousBackups",
        "ListTagsOfResource",
        "TagResource",
        "UpdateContinuousBackups",
    }
    assert used == allowed("migrator") - on_aws
