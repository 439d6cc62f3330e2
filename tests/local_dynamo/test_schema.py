"""Creating, comparing and deleting the table."""

from typing import Any

import pytest

from quill_models import Agent, Quill, Settings, connect
from quill_models.errors import SchemaMismatch, TableNotFound
from quill_models.schema import declared_table
from tests.local_dynamo.support import botocore_of, on_the_wire, race


@pytest.fixture
def bare(quill_settings: Settings) -> Any:
    """A connection whose table does not exist yet."""
    with connect(quill_settings) as quill:
        yield quill
        quill.schema.delete_table()


def described(quill: Quill) -> dict[str, Any]:
    table: dict[str, Any] = botocore_of(quill).describe_table(TableName=quill.settings.table)
    return dict(table["Table"])


def ttl_of(quill: Quill) -> dict[str, Any]:
    response = botocore_of(quill).describe_time_to_live(TableName=quill.settings.table)
    return dict(response["TimeToLiveDescription"])


def create(quill: Quill, **changes: Any) -> None:
    """Create the table as another program would, with changes."""
    declared = {**declared_table(), **changes}
    used = {
        key["AttributeName"]
        for keys in [declared, *declared.get("GlobalSecondaryIndexes", [])]
        for key in keys["KeySchema"]
    }
    declared["AttributeDefinitions"] = [
        {"AttributeName": name, "AttributeType": "S"} for name in sorted(used)
    ]
    botocore_of(quill).create_table(TableName=quill.settings.table, **declared)


class TestApply:
    def test_apply_no_table_creates_indexes_ttl_and_stream(self, bare: Quill) -> None:
        reported: list[str] = []
        done = bare.schema.apply(reported.append)
        assert reported == done
        assert bare.settings.table in done[0]
        live = described(bare)
        assert live["TableStatus"] == "ACTIVE"
        assert live["KeySchema"] == [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ]
        indexes = {index["IndexName"]: index for index in live["GlobalSecondaryIndexes"]}
        assert sorted(indexes) == ["gsi1", "gsi2", "gsi3"]
        for name, index in indexes.items():
            assert index["KeySchema"] == [
                {"AttributeName": f"{name}pk", "KeyType": "HASH"},
                {"AttributeName": f"{name}sk", "KeyType": "RANGE"},
            ]
            assert index["Projection"] == {"ProjectionType": "ALL"}
        assert live["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert live["StreamSpecification"] == {
            "StreamEnabled": True,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        }
        assert ttl_of(bare) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}

    def test_apply_equal_table_writes_nothing(self, bare: Quill) -> None:
        bare.schema.apply()
        bare.agents.put(Agent(agent_id="ada"))
        before = described(bare)
        reported: list[str] = []
        with on_the_wire(bare) as sent:
            assert bare.schema.apply(reported.append) == []
        assert reported == []
        assert not {"CreateTable", "UpdateTable", "UpdateTimeToLive", "DeleteTable"} & set(sent)
        assert described(bare) == before
        assert bare.agents.get("ada") is not None

    def test_apply_grown_shards_keeps_their_number(self, bare: Quill) -> None:
        bare.schema.apply()
        bare.schema.grow_shards(9)
        assert bare.schema.apply() == []
        with connect(bare.settings) as other:
            assert len(other._table.shards_to_read) == 9

    def test_apply_table_without_ttl_turns_it_on(self, bare: Quill) -> None:
        create(bare)
        assert ttl_of(bare)["TimeToLiveStatus"] == "DISABLED"
        assert any("TTL" in step for step in bare.schema.apply())
        assert ttl_of(bare) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
        assert bare.schema.apply() == []

    def test_apply_ttl_turned_off_turns_it_on_again(self, bare: Quill) -> None:
        bare.schema.apply()
        botocore_of(bare).update_time_to_live(
            TableName=bare.settings.table,
            TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"},
        )
        assert any("TTL" in step for step in bare.schema.apply())
        assert ttl_of(bare)["TimeToLiveStatus"] == "ENABLED"


class TestApplyMismatch:
    def test_apply_other_key_schema_raises_schema_mismatch(self, bare: Quill) -> None:
        create(bare, KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
        with pytest.raises(SchemaMismatch, match=r"key schema .* QUILL_TABLE"):
            bare.schema.apply()
        # Nothing else was changed, because it may be the table of another program.
        assert ttl_of(bare)["TimeToLiveStatus"] == "DISABLED"

    def test_apply_swapped_keys_raises_schema_mismatch(self, bare: Quill) -> None:
        create(
            bare,
            KeySchema=[
                {"AttributeName": "sk", "KeyType": "HASH"},
                {"AttributeName": "pk", "KeyType": "RANGE"},
            ],
        )
        with pytest.raises(SchemaMismatch, match="key schema"):
            bare.schema.apply()

    def test_apply_other_index_keys_raises_schema_mismatch(self, bare: Quill) -> None:
        indexes = declared_table()["GlobalSecondaryIndexes"]
        indexes[1] = {**indexes[1], "KeySchema": indexes[0]["KeySchema"]}
        create(bare, GlobalSecondaryIndexes=indexes)
        with pytest.raises(SchemaMismatch, match="--delete-index gsi2"):
            bare.schema.apply()

    def test_apply_index_of_keys_only_raises_schema_mismatch(self, bare: Quill) -> None:
        indexes = declared_table()["GlobalSecondaryIndexes"]
        indexes[0] = {**indexes[0], "Projection": {"ProjectionType": "KEYS_ONLY"}}
        create(bare, GlobalSecondaryIndexes=indexes)
        with pytest.raises(SchemaMismatch, match="projects KEYS_ONLY"):
            bare.schema.apply()
        # Nothing else was changed, because it may be the table of another program.
        assert ttl_of(bare)["TimeToLiveStatus"] == "DISABLED"


def apply(settings: Settings) -> list[str]:
    with connect(settings) as quill:
        done = quill.schema.apply()
        assert quill.agents.get("ada") is None
        return done


def test_apply_two_processes_create_the_table_once(bare: Quill) -> None:
    done = race(apply, [(bare.settings,), (bare.settings,)])
    steps = [step for each in done for step in each]
    assert sum("created" in step for step in steps) == 1
    assert sum("shards" in step for step in steps) == 1
    assert bare.schema.apply() == []
    assert ttl_of(bare)["TimeToLiveStatus"] == "ENABLED"


def test_delete_table_missing_table_is_not_an_error(bare: Quill) -> None:
    bare.schema.delete_table()
    bare.schema.apply()
    bare.agents.put(Agent(agent_id="ada"))
    bare.schema.delete_table()
    with pytest.raises(TableNotFound, match="quill schema apply"):
        bare.agents.get("ada")
    bare.schema.apply()
    assert bare.agents.get("ada") is None
