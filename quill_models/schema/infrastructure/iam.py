"""IAM policies with the permissions that each role needs.

A transaction needs the permissions of its actions only:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
"""

from __future__ import annotations

from typing import Any

from quill_models.settings import Settings

__all__ = ["ROLES", "policy"]

_INFO = ("DescribeContinuousBackups", "DescribeTable", "DescribeTimeToLive", "ListTagsOfResource")
# An export of all items and a backfill need Scan.
_READ = ("BatchGetItem", "GetItem", "Query", "Scan")
_WRITE = ("ConditionCheckItem", "DeleteItem", "PartiQLInsert", "PutItem", "UpdateItem")
_CHANGE = (
    "CreateTable",
    "TagResource",
    "UpdateContinuousBackups",
    "UpdateTable",
    "UpdateTimeToLive",
)

# For each role, the actions on items and the actions on the table.
ROLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "reader": (_READ, _INFO),
    "writer": ((*_READ, *_WRITE), _INFO),
    "migrator": ((*_READ, *_WRITE), (*_INFO, *_CHANGE)),
}

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
_WITH_KEY = ("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")


def policy(settings: Settings, role: str) -> dict[str, Any]:
    """Return the policy of a role for the table and its indexes, in any account."""
    items, table = ROLES[role]
    region = settings.region or "*"
    arn = f"arn:aws:dynamodb:{region}:*:table/{settings.table}"
    statements = [
        _allow("Items", "dynamodb", items, arn, f"{arn}/index/*"),
        _allow("Table", "dynamodb", table, arn),
    ]
    if settings.kms_key is not None and settings.kms_key.startswith("arn:"):
        by_table = {"StringEquals": {"kms:ViaService": f"dynamodb.{region}.amazonaws.com"}}
        key = _allow("Key", "kms", _WITH_KEY, settings.kms_key)
        statements.append({**key, "Condition": by_table})
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(sid: str, service: str, actions: tuple[str, ...], *resources: str) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in sorted(actions)],
        "Resource": list(resources),
    }
