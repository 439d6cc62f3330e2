"""The live table, as the server describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from quill_models.dynamodb.table import Table
from quill_models.schema.declared import Declared
from quill_models.values.errors import RequestRejected, TableNotFound

__all__ = ["Live", "described", "is_local", "read_live"]

T = TypeVar("T")

# Error codes of a server that does not support an operation.
_UNSUPPORTED = frozenset({"UnknownOperationException", "UnknownOperation"})


@dataclass(frozen=True, kw_only=True)
class Live:
    """The live table.

    Attributes:
        table: Response of ``DescribeTable``.
        ttl: Response of ``DescribeTimeToLive``; empty if TTL is not declared.
        point_in_time_recovery: Whether it is on; ``None`` if not declared or not supported.
        tags: Tags of the table; ``None`` if not declared or not supported.
        missing: Declared features that the server does not support, in words.
    """

    table: Mapping[str, Any]
    ttl: Mapping[str, Any]
    point_in_time_recovery: bool | None = None
    tags: Mapping[str, str] | None = None
    missing: tuple[str, ...] = ()


def described(table: Table) -> dict[str, Any] | None:
    """Return the response of ``DescribeTable``, or ``None`` without a table. One request."""
    try:
        return dict(table.request("describe_table")["Table"])
    except TableNotFound:
        return None


def is_local(live: Mapping[str, Any]) -> bool:
    """Return whether the ARN of a table is one of DynamoDB Local."""
    return ":ddblocal:" in live["TableArn"]


def read_live(table: Table, live: Mapping[str, Any], declared: Declared) -> Live:
    """Read what ``DescribeTable`` does not return. Up to three requests, one per feature."""
    missing: list[str] = []

    def if_supported(what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except RequestRejected as rejected:
            if rejected.code not in _UNSUPPORTED:
                raise
            missing.append(what)
            return None

    recovery = tags = None
    if declared.protected:
        recovery = if_supported("point-in-time recovery", lambda: _recovery(table))
    if declared.tags:
        tags = if_supported("tags", lambda: _tags(table, live["TableArn"]))
    ttl: Mapping[str, Any] = {}
    if declared.ttl is not None:
        ttl = table.request("describe_time_to_live")["TimeToLiveDescription"]
    # DynamoDB Local accepts an encryption key and ignores it.
    if declared.kms_key is not None and is_local(live):
        missing.append("encryption by a KMS key")
    return Live(
        table=live, ttl=ttl, point_in_time_recovery=recovery, tags=tags, missing=tuple(missing)
    )


def _recovery(table: Table) -> bool:
    response = table.request("describe_continuous_backups")["ContinuousBackupsDescription"]
    recovery = response.get("PointInTimeRecoveryDescription", {})
    return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")


def _tags(table: Table, arn: str) -> dict[str, str]:
    found: dict[str, str] = {}
    parameters: dict[str, Any] = {"ResourceArn": arn}
    while True:
        response = table.client.request("list_tags_of_resource", **parameters)
        found.update((tag["Key"], tag["Value"]) for tag in response.get("Tags", []))
        if not response.get("NextToken"):
            return found
        parameters["NextToken"] = response["NextToken"]
