"""Create the table with its three indexes, its stream and TTL.

Stands on its own: it uses no model, so that it stays what it was when the models have moved on.
"""

from __future__ import annotations

from typing import Any

DESCRIPTION = "create the table"

INDEXES = ("gsi1", "gsi2", "gsi3")
KEYS = [("pk", "sk"), *((f"{index}pk", f"{index}sk") for index in INDEXES)]


def up(client: Any, table: str) -> None:
    """Bring it about. May be run again.

    Args:
        client: a botocore client for DynamoDB.
        table: the table's name.
    """
    if table not in _tables(client):
        client.create_table(
            TableName=table,
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
    client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    described = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    if described["TimeToLiveStatus"] in {"DISABLED", "DISABLING"}:
        client.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
        )


def _key_schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]


def _tables(client: Any) -> set[str]:
    return {
        name
        for page in client.get_paginator("list_tables").paginate()
        for name in page["TableNames"]
    }
