"""Differences between the live and the declared table, and the changes that fix them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models import Backend, Settings
from quill_models.schema.declared import Declared
from quill_models.schema.differences import Difference, differences
from quill_models.schema.live import Live

KEY_ID = "12345678-1234-1234-1234-123456789012"
ARN = f"arn:aws:kms:eu-west-1:123456789012:key/{KEY_ID}"
AWS = Settings(backend=Backend.AWS, kms_key=KEY_ID, tags={"team": "data", "stage": "live"})
DECLARED = Declared.of(AWS)


def equal_table() -> dict[str, Any]:
    """Return the response of DescribeTable for a table as declared, on AWS."""
    return {
        **DECLARED.table,
        "TableName": "quill",
        "TableArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/quill",
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "DeletionProtectionEnabled": True,
        "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": ARN},
    }


def equal() -> Live:
    return Live(
        table=equal_table(),
        ttl={"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"},
        point_in_time_recovery=True,
        tags={"team": "data", "stage": "live", "another": "one"},
    )


def with_table(**changes: Any) -> Live:
    return replace(equal(), table={**equal_table(), **changes})


def only(live: Live, declared: Declared = DECLARED) -> Difference:
    (found,) = differences(declared, live)
    return found


def test_differences_equal_table_returns_none() -> None:
    assert differences(DECLARED, equal()) == []


@given(st.randoms())
def test_differences_other_order_of_lists_returns_none(random: Any) -> None:
    table = equal_table()
    for name in ("AttributeDefinitions", "GlobalSecondaryIndexes", "KeySchema"):
        table[name] = random.sample(table[name], len(table[name]))
    assert differences(DECLARED, replace(equal(), table=table)) == []


@given(st.sets(st.sampled_from(["gsi1", "gsi2", "gsi3"])))
def test_differences_missing_index_creates_it(missing: set[str]) -> None:
    kept = [
        index
        for index in DECLARED.table["GlobalSecondaryIndexes"]
        if index["IndexName"] not in missing
    ]
    found = differences(DECLARED, with_table(GlobalSecondaryIndexes=kept))
    assert [each.what for each in found] == [f"index '{name}'" for name in sorted(missing)]
    for each in found:
        assert each.change is not None
        assert each.change.deletes is None
        (update,) = each.change.parameters["GlobalSecondaryIndexUpdates"]
        used = {key["AttributeName"] for key in update["Create"]["KeySchema"]} | {"pk", "sk"}
        defined = each.change.parameters["AttributeDefinitions"]
        assert {each["AttributeName"] for each in defined} == used


def test_differences_other_index_attribute_type_deletes_index() -> None:
    attributes = [
        {**each, "AttributeType": "N"} if each["AttributeName"] == "gsi2sk" else each
        for each in DECLARED.table["AttributeDefinitions"]
    ]
    found = only(with_table(AttributeDefinitions=attributes))
    assert found.what == "index 'gsi2'"
    assert found.change is not None
    assert found.change.deletes == "gsi2"


def test_differences_other_key_schema_cannot_be_fixed() -> None:
    found = only(with_table(KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}]))
    assert (found.what, found.change, found.harmful) == ("key schema", None, True)
    assert "QUILL_TABLE" in found.remedy


@pytest.mark.parametrize(
    ("live", "what", "was"),
    [
        (with_table(DeletionProtectionEnabled=False), "deletion protection", "off"),
        (replace(equal(), point_in_time_recovery=False), "point-in-time recovery", "off"),
        (replace(equal(), tags={"team": "sales"}), "tags", "team=sales"),
        (replace(equal(), tags={}), "tags", "none"),
        (with_table(SSEDescription={}), "encryption", "by a key that DynamoDB owns"),
        (
            with_table(SSEDescription={"Status": "ENABLED", "KMSMasterKeyArn": "arn:other"}),
            "encryption",
            "by the KMS key 'arn:other'",
        ),
        (with_table(BillingModeSummary={}), "billing mode", "PROVISIONED"),
        (with_table(StreamSpecification={"StreamEnabled": False}), "stream", "off"),
        (replace(equal(), ttl={"TimeToLiveStatus": "DISABLED"}), "TTL", "off"),
        (
            replace(equal(), ttl={"TimeToLiveStatus": "DISABLING", "AttributeName": "ttl"}),
            "TTL",
            "off",
        ),
    ],
)
def test_differences_other_table_setting_is_harmless(live: Live, what: str, was: str) -> None:
    found = only(live)
    assert (found.what, found.live, found.harmful) == (what, was, False)
    assert found.change is not None
    assert found.change.deletes is None


def test_differences_missing_tags_sets_only_those() -> None:
    found = only(replace(equal(), tags={"team": "data"}))
    assert found.change is not None
    assert found.change.parameters["Tags"] == [{"Key": "stage", "Value": "live"}]


def test_differences_unwanted_or_unsupported_feature_returns_none() -> None:
    bare = Live(
        table={**equal_table(), "DeletionProtectionEnabled": False, "SSEDescription": {}},
        ttl=equal().ttl,
    )
    assert differences(Declared.of(Settings()), bare) == []
    # An unsupported feature is neither on nor off.
    local = "arn:aws:dynamodb:ddblocal:000000000000:table/quill"
    known = {**equal_table(), "SSEDescription": {}, "TableArn": local}
    assert differences(DECLARED, Live(table=known, ttl=equal().ttl)) == []


def test_differences_aws_managed_key_accepts_any_key() -> None:
    declared = Declared.of(replace(AWS, kms_key="aws-managed"))
    assert differences(declared, equal()) == []
    assert only(with_table(SSEDescription={}), declared).what == "encryption"


def test_differences_stream_not_declared_returns_none() -> None:
    declared = Declared.of(AWS, stream=False)
    for stream in ({"StreamEnabled": False}, {"StreamEnabled": True, "StreamViewType": "X"}):
        assert differences(declared, with_table(StreamSpecification=stream)) == []
