"""Create the table with its three indexes, its stream and TTL.

Stands on its own: it uses no model, so that it stays what it was when the models have moved on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quill_models.migrations import Step

DESCRIPTION = "create the table"

INDEXES = ("gsi1", "gsi2", "gsi3")
KEYS = [("pk", "sk"), *((f"{index}pk", f"{index}sk") for index in INDEXES)]


def up(step: Step) -> None:
    """Bring it about. May be run again, and by several at once."""
    client, table = step.client, step.table
    try:
        client.describe_table(TableName=table)
    except client.exceptions.ResourceNotFoundException:
        _create(step)
    client.get_waiter("table_exists").wait(
        TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    described = step.request("describe_time_to_live")["TimeToLiveDescription"]
    if described["TimeToLiveStatus"] in {"DISABLED", "DISABLING"}:
        try:
            client.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
            )
        except client.exceptions.ClientError as error:
            # Another turned it on meanwhile.
            if "already enabled" not in str(error):
                raise


def _create(step: Step) -> None:
    try:
        step.client.create_table(
            TableName=step.table,
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for pair in KEYS for name in pair
            ],
            KeySchema=_key_schema("pk", "sk"),
            GlobalSecondaryIndexes=[
                {
                    "IndexName": index,
                    "KeySchema": _key_schema(f"{index}pk", f"{index}sk"),
                    "Projection": {"ProjectionType": "ALL"},
                }
                for index in INDEXES
            ],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={
                "StreamEnabled": True,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        )
    except step.client.exceptions.ResourceInUseException:
        # Another is creating it.
        return
    step.report(f"created the table {step.table!r}")


def _key_schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]
