"""A live table that differs from the models: reported by `diff`, fixed by `apply`."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from quill_models import Agent, Backend, Quill, Settings, connect
from quill_models.errors import RequestRejected, SchemaMismatch
from quill_models.schema import declared_table
from tests.local_dynamo.support import (
    botocore_of,
    event,
    on_the_wire,
    race,
    scanned,
    wait_until,
)

WRITES = {"CreateTable", "UpdateTable", "UpdateTimeToLive", "DeleteTable", "PutItem"}


@pytest.fixture
def filled(index_settings: Settings) -> Iterator[Quill]:
    """A table created by `apply`, with data in each index."""
    with connect(index_settings) as quill:
        quill.schema.apply()
        fill(quill)
        yield quill
        delete_table(quill)


def delete_table(quill: Quill) -> None:
    """Delete the table, because each one occupies a thread of the server."""
    update = botocore_of(quill).update_table
    if (
        botocore_of(quill)
        .describe_table(TableName=quill.settings.table)["Table"]
        .get("DeletionProtectionEnabled")
    ):
        update(TableName=quill.settings.table, DeletionProtectionEnabled=False)
    quill.schema.delete_table()


def differing(quill: Quill) -> list[str]:
    return [each.what for each in quill.schema.diff().differences]


def update(quill: Quill, **parameters: Any) -> None:
    """Change the table as a user would, and wait until the change is finished."""
    client = botocore_of(quill)
    client.update_table(TableName=quill.settings.table, **parameters)

    def is_finished() -> bool:
        live = client.describe_table(TableName=quill.settings.table)["Table"]
        states = {index["IndexStatus"] for index in live.get("GlobalSecondaryIndexes", [])}
        return states | {live["TableStatus"]} == {"ACTIVE"}

    wait_until(is_finished, within=60)


def delete_index(quill: Quill, name: str = "gsi2") -> None:
    update(quill, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}])


def change_index(quill: Quill) -> None:
    """Replace an index by one of the same name that projects keys only."""
    delete_index(quill, "gsi3")
    (index,) = (
        each for each in declared_table()["GlobalSecondaryIndexes"] if each["IndexName"] == "gsi3"
    )
    update(
        quill,
        AttributeDefinitions=[
            {"AttributeName": key["AttributeName"], "AttributeType": "S"}
            for key in index["KeySchema"]
        ],
        GlobalSecondaryIndexUpdates=[
            {"Create": {**index, "Projection": {"ProjectionType": "KEYS_ONLY"}}}
        ],
    )


def add_index(quill: Quill) -> None:
    """Add an index that the models do not declare."""
    update(
        quill,
        AttributeDefinitions=[{"AttributeName": "kind", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "mine",
                    "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            }
        ],
    )


def turn_off_ttl(quill: Quill) -> None:
    botocore_of(quill).update_time_to_live(
        TableName=quill.settings.table,
        TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"},
    )


def move_ttl(quill: Quill) -> None:
    turn_off_ttl(quill)
    botocore_of(quill).update_time_to_live(
        TableName=quill.settings.table,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
    )


def turn_off_stream(quill: Quill) -> None:
    update(quill, StreamSpecification={"StreamEnabled": False})


def change_stream(quill: Quill) -> None:
    turn_off_stream(quill)
    update(quill, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})


def provision(quill: Quill) -> None:
    capacity = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    update(
        quill,
        BillingMode="PROVISIONED",
        ProvisionedThroughput=capacity,
        GlobalSecondaryIndexUpdates=[
            {"Update": {"IndexName": name, "ProvisionedThroughput": capacity}}
            for name in ("gsi1", "gsi2", "gsi3")
        ],
    )


@pytest.fixture
def old(index_settings: Settings) -> Iterator[Quill]:
    """A filled table of an older version: one index, no stream or TTL, provisioned capacity."""
    declared = declared_table()
    capacity = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    with connect(index_settings) as quill:
        botocore_of(quill).create_table(
            TableName=index_settings.table,
            KeySchema=declared["KeySchema"],
            AttributeDefinitions=[
                each
                for each in declared["AttributeDefinitions"]
                if each["AttributeName"] in {"pk", "sk", "gsi1pk", "gsi1sk"}
            ],
            GlobalSecondaryIndexes=[
                {**declared["GlobalSecondaryIndexes"][0], "ProvisionedThroughput": capacity}
            ],
            ProvisionedThroughput=capacity,
        )
        fill(quill)
        yield quill
        delete_table(quill)


def fill(quill: Quill) -> None:
    quill.agents.put_many(Agent(agent_id=str(n), team="t") for n in range(30))
    quill.webhook_events.record_many(event(str(n)) for n in range(30))


def is_complete(quill: Quill) -> bool:
    """Return whether each index has all items of `fill`."""
    return {
        quill.agents.list_by_team("t").count(),
        quill.agents.list_by_status("active").count(),
        quill.webhook_events.list_by_object("hubspot", "contact", "77").count(),
        quill.webhook_events.list_by_status("hubspot", "pending").count(),
    } == {30}


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (delete_index, ["index 'gsi2'"]),
        (turn_off_ttl, ["TTL"]),
        (move_ttl, ["TTL"]),
        (turn_off_stream, ["stream"]),
        (change_stream, ["stream"]),
        (provision, ["billing mode"]),
    ],
)
def test_apply_changed_table_fixes_it_and_keeps_data(
    filled: Quill, harm: Callable[[Quill], None], what: list[str]
) -> None:
    assert differing(filled) == []
    harm(filled)
    assert_reported_and_fixed(filled, what)


def test_apply_table_of_older_version_fixes_all_differences(old: Quill) -> None:
    what = ["billing mode", "index 'gsi2'", "index 'gsi3'", "stream", "TTL"]
    assert_reported_and_fixed(old, what)


def assert_reported_and_fixed(quill: Quill, what: list[str]) -> None:
    before = {kind: scanned(quill, kind) for kind in ("agent", "webhook_event")}
    with on_the_wire(quill) as sent:
        assert differing(quill) == what
    assert not WRITES & set(sent)
    reported: list[str] = []
    done = quill.schema.apply(reported.append)
    assert reported == done
    assert len(done) >= len(what)
    assert differing(quill) == []
    assert quill.schema.apply() == []
    assert {kind: scanned(quill, kind) for kind in before} == before
    assert is_complete(quill)


class TestDeleteIndexes:
    def test_apply_changed_index_is_deleted_only_if_allowed(self, filled: Quill) -> None:
        change_index(filled)
        assert differing(filled) == ["index 'gsi3'"]
        with on_the_wire(filled) as sent, pytest.raises(SchemaMismatch, match="--delete-index"):
            filled.schema.apply()
        assert not WRITES & set(sent)
        waited: list[str] = []
        done = filled.schema.apply(delete_indexes=["gsi3"], progress=waited.append)
        assert done == ["deleted the index 'gsi3'", "created the index 'gsi3'"]
        assert any("gsi3" in each for each in waited)
        assert differing(filled) == []
        assert filled.agents.list_by_status("active").count() == 30

    def test_apply_undeclared_index_is_deleted_only_if_allowed(self, filled: Quill) -> None:
        add_index(filled)
        assert differing(filled) == ["index 'mine'"]
        assert filled.schema.apply() == []
        assert differing(filled) == ["index 'mine'"]
        assert filled.schema.apply(delete_indexes=["mine"]) == ["deleted the index 'mine'"]
        assert differing(filled) == []

    def test_apply_delete_of_equal_index_does_nothing(self, filled: Quill) -> None:
        assert filled.schema.apply(delete_indexes=["gsi1"]) == []

    def test_apply_deletion_interrupted_creates_the_index(self, filled: Quill) -> None:
        change_index(filled)
        delete_index(filled, "gsi3")
        done = filled.schema.apply(delete_indexes=["gsi3"])
        assert done == ["created the index 'gsi3'"]

    def test_apply_three_processes_recreate_the_index(self, filled: Quill) -> None:
        change_index(filled)
        done = race(apply_deleting, [(filled.settings, "gsi3")] * 3, within=120)
        assert sum("deleted" in step for each in done for step in each) >= 1
        assert differing(filled) == []

    def test_apply_unknown_delete_index_raises_schema_mismatch(self, filled: Quill) -> None:
        with (
            on_the_wire(filled) as sent,
            pytest.raises(SchemaMismatch, match="have an index not-there"),
        ):
            filled.schema.apply(delete_indexes=["not-there"])
        assert not WRITES & set(sent)


class TestOnAws:
    """The additions of `apply` if DATA_BACKEND is ``aws``, as far as DynamoDB Local supports it."""

    @pytest.fixture
    def on_aws(self, filled: Quill, monkeypatch: pytest.MonkeyPatch) -> Iterator[Quill]:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fakeMyKeyId")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fakeSecretAccessKey")
        settings = replace(
            filled.settings, backend=Backend.AWS, kms_key="aws-managed", tags={"team": "data"}
        )
        with connect(settings) as quill:
            yield quill

    def test_apply_aws_backend_turns_on_deletion_protection(self, on_aws: Quill) -> None:
        found = on_aws.schema.diff()
        assert [each.what for each in found.differences] == ["deletion protection"]
        # DynamoDB Local supports none of these. The diff reports them, and nothing fails.
        assert found.missing == ("point-in-time recovery", "tags", "encryption by a KMS key")
        assert on_aws.schema.apply() == ["turned on deletion protection"]
        assert on_aws.schema.diff().is_equal
        with pytest.raises(RequestRejected, match="protected against deletion"):
            on_aws.schema.delete_table()

    def test_apply_local_backend_keeps_deletion_protection(self, filled: Quill) -> None:
        update(filled, DeletionProtectionEnabled=True)
        assert filled.schema.apply() == []
        live = botocore_of(filled).describe_table(TableName=filled.settings.table)["Table"]
        assert live["DeletionProtectionEnabled"]


def apply(settings: Settings) -> list[str]:
    with connect(settings) as quill:
        return quill.schema.apply()


def apply_deleting(settings: Settings, index: str) -> list[str]:
    with connect(settings) as quill:
        return quill.schema.apply(delete_indexes=[index])


def test_apply_three_processes_fix_an_old_table(old: Quill) -> None:
    done = race(apply, [(old.settings,)] * 3, within=120)
    assert sum("gsi2" in step for each in done for step in each) >= 1
    assert differing(old) == []
    assert is_complete(old)


def test_diff_missing_table_reports_the_table(quill_settings: Settings) -> None:
    with connect(quill_settings) as quill:
        (difference,) = quill.schema.diff().differences
    assert (difference.what, difference.remedy) == ("table", "Run quill schema apply")
