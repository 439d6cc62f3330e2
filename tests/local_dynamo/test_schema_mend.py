"""A live table that is not what the models declare: named by `diff`, mended by `apply`."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from quill_models import Agent, Backend, Quill, Settings, connect
from quill_models.errors import RequestRejected, SchemaMismatch
from quill_models.schema import declared_table
from tests.local_dynamo.support import botocore_of, event, on_the_wire, race, scanned

WRITES = {"CreateTable", "UpdateTable", "UpdateTimeToLive", "DeleteTable", "PutItem"}


@pytest.fixture
def filled(quill_settings: Settings) -> Iterator[Quill]:
    """A table as `apply` makes it, with data in each index."""
    with connect(quill_settings) as quill:
        quill.schema.apply()
        quill.agents.put_many(Agent(agent_id=str(n), team="t") for n in range(30))
        quill.webhook_events.record_many(event(str(n)) for n in range(30))
        yield quill
        botocore_of(quill).update_table(
            TableName=quill_settings.table, DeletionProtectionEnabled=False
        )
        quill.schema.delete_table()


def named(quill: Quill) -> list[str]:
    return [each.what for each in quill.schema.diff().differences]


def update(quill: Quill, **parameters: Any) -> None:
    """What somebody did by hand, and that it is through."""
    client = botocore_of(quill)
    client.update_table(TableName=quill.settings.table, **parameters)
    while True:
        live = client.describe_table(TableName=quill.settings.table)["Table"]
        states = {index["IndexStatus"] for index in live.get("GlobalSecondaryIndexes", [])}
        if states | {live["TableStatus"]} == {"ACTIVE"}:
            return


def delete_index(quill: Quill, name: str = "gsi2") -> None:
    update(quill, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}])


def change_index(quill: Quill) -> None:
    """By one of the same name that projects keys only."""
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
    """That the models know nothing of."""
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


def everything(quill: Quill) -> None:
    """A table of an older version: no gsi2 and no gsi3, no stream, no TTL, capacity by hand."""
    provision(quill)
    delete_index(quill, "gsi2")
    delete_index(quill, "gsi3")
    turn_off_stream(quill)
    turn_off_ttl(quill)


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (delete_index, ["index 'gsi2'"]),
        (turn_off_ttl, ["TTL"]),
        (move_ttl, ["TTL"]),
        (turn_off_stream, ["stream"]),
        (change_stream, ["stream"]),
        (provision, ["billing mode"]),
        (everything, ["billing mode", "index 'gsi2'", "index 'gsi3'", "stream", "TTL"]),
    ],
)
def test_named_and_mended_with_the_data_untouched(
    filled: Quill, harm: Callable[[Quill], None], what: list[str]
) -> None:
    assert named(filled) == []
    harm(filled)
    before = {kind: scanned(filled, kind) for kind in ("agent", "webhook_event")}
    with on_the_wire(filled) as sent:
        assert named(filled) == what
    assert not WRITES & set(sent)
    told: list[str] = []
    done = filled.schema.apply(told.append)
    assert told == done
    assert len(done) >= len(what)
    assert named(filled) == []
    assert filled.schema.apply() == []
    assert {kind: scanned(filled, kind) for kind in before} == before
    # And each index holds all of it again.
    assert filled.agents.list_by_team("t").count() == 30
    assert filled.agents.list_by_status("active").count() == 30
    assert filled.webhook_events.list_by_object("hubspot", "contact", "77").count() == 30
    assert filled.webhook_events.list_by_status("hubspot", "pending").count() == 30


class TestDeleting:
    def test_a_changed_index_is_deleted_only_where_it_is_named(self, filled: Quill) -> None:
        change_index(filled)
        assert named(filled) == ["index 'gsi3'"]
        with on_the_wire(filled) as sent, pytest.raises(SchemaMismatch, match="--delete-index"):
            filled.schema.apply()
        assert not WRITES & set(sent)
        waited: list[str] = []
        done = filled.schema.apply(delete_indexes=["gsi3"], progress=waited.append)
        assert done == ["deleted the index 'gsi3'", "created the index 'gsi3'"]
        assert any("gsi3" in each for each in waited)
        assert named(filled) == []
        assert filled.agents.list_by_status("active").count() == 30

    def test_an_index_of_somebody_elses_stays(self, filled: Quill) -> None:
        add_index(filled)
        assert named(filled) == ["index 'mine'"]
        assert filled.schema.apply() == []
        assert named(filled) == ["index 'mine'"]
        assert filled.schema.apply(delete_indexes=["mine"]) == ["deleted the index 'mine'"]
        assert named(filled) == []

    @pytest.mark.parametrize("name", ["gsi1", "not-there"])
    def test_one_that_is_as_it_shall_be_is_not_deleted(self, filled: Quill, name: str) -> None:
        with on_the_wire(filled) as sent, pytest.raises(SchemaMismatch, match=name):
            filled.schema.apply(delete_indexes=[name])
        assert not WRITES & set(sent)


class TestOnAws:
    """What `apply` does besides where DATA_BACKEND is ``aws``, as far as this server has it."""

    @pytest.fixture
    def on_aws(self, filled: Quill, monkeypatch: pytest.MonkeyPatch) -> Iterator[Quill]:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fakeMyKeyId")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fakeSecretAccessKey")
        settings = replace(
            filled.settings, backend=Backend.AWS, kms_key="aws-managed", tags={"team": "data"}
        )
        with connect(settings) as quill:
            yield quill

    def test_deletion_protection_and_what_the_server_lacks(self, on_aws: Quill) -> None:
        found = on_aws.schema.diff()
        assert [each.what for each in found.differences] == ["deletion protection"]
        # DynamoDB Local has none of them; that is said, and nothing fails over it.
        assert found.missing == ("point-in-time recovery", "tags", "encryption by a KMS key")
        assert on_aws.schema.apply() == ["turned on deletion protection"]
        assert on_aws.schema.diff().is_equal
        with pytest.raises(RequestRejected, match="protected against deletion"):
            on_aws.schema.delete_table()

    def test_where_it_is_not_wanted_it_is_left_alone(self, filled: Quill) -> None:
        update(filled, DeletionProtectionEnabled=True)
        assert filled.schema.apply() == []
        live = botocore_of(filled).describe_table(TableName=filled.settings.table)["Table"]
        assert live["DeletionProtectionEnabled"]


def apply(settings: Settings) -> list[str]:
    with connect(settings) as quill:
        return quill.schema.apply()


def test_several_processes_mend_at_once(filled: Quill) -> None:
    everything(filled)
    done = race(apply, [(filled.settings,)] * 3, within=120)
    assert sum("gsi2" in step for each in done for step in each) >= 1
    assert named(filled) == []
    assert filled.agents.list_by_team("t").count() == 30


def test_the_diff_of_a_table_that_is_not_there(quill_settings: Settings) -> None:
    with connect(quill_settings) as quill:
        (difference,) = quill.schema.diff().differences
    assert (difference.what, difference.remedy) == ("table", "Run quill schema apply")
