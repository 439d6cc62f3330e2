"""What the table is: read from the server, with what the server does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from quill_models.dynamodb.table import Table
from quill_models.schema.declared import Declared
from quill_models.values.errors import RequestRejected, TableNotFound

__all__ = ["Live", "described", "is_local", "read_live"]

T = TypeVar("T")

# What a server says to an operation that it does not have.
_UNKNOWN = frozenset({"UnknownOperationException", "UnknownOperation"})


@dataclass(frozen=True, kw_only=True)
class Live:
    """The table as it is.

    Attributes:
        table: as ``DescribeTable`` has it.
        ttl: as ``DescribeTimeToLive`` has it; empty where it does not matter.
        point_in_time_recovery: whether it is on; ``None`` where it does not matter, or the server
            has none.
        tags: ``None`` where they do not matter, or the server has none.
        missing: what is wanted and the server does not have, in words.
    """

    table: Mapping[str, Any]
    ttl: Mapping[str, Any]
    point_in_time_recovery: bool | None = None
    tags: Mapping[str, str] | None = None
    missing: tuple[str, ...] = ()


def described(table: Table) -> dict[str, Any] | None:
    """``DescribeTable``; ``None`` where there is no table. One request."""
    try:
        return dict(table.request("describe_table")["Table"])
    except TableNotFound:
        return None


def is_local(live: Mapping[str, Any]) -> bool:
    """Whether a described table is one of DynamoDB Local, by the region in its ARN."""
    return ":ddblocal:" in live["TableArn"]


def read_live(table: Table, live: Mapping[str, Any], declared: Declared) -> Live:
    """The rest of what is to be known of a described table. One request, up to three on AWS.

    None where TTL does not matter, and it is not to be protected or tagged.
    """
    missing: list[str] = []

    def if_known(what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except RequestRejected as rejected:
            if rejected.code not in _UNKNOWN:
                raise
            missing.append(what)
            return None

    recovery = tags = None
    if declared.protected:
        recovery = if_known("point-in-time recovery", lambda: _recovery(table))
    if declared.tags:
        tags = if_known("tags", lambda: _tags(table, live["TableArn"]))
    ttl: Mapping[str, Any] = {}
    if declared.ttl is not None:
        ttl = table.request("describe_time_to_live")["TimeToLiveDescription"]
    # DynamoDB Local takes an encryption, and forgets it.
    if declared.kms_key is not None and is_local(live):
        missing.append("encryption by a KMS key")
    return Live(
        table=live, ttl=ttl, point_in_time_recovery=recovery, tags=tags, missing=tuple(missing)
    )


def _recovery(table: Table) -> bool:
    answer = table.request("describe_continuous_backups")["ContinuousBackupsDescription"]
    recovery = answer.get("PointInTimeRecoveryDescription", {})
    return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")


def _tags(table: Table, arn: str) -> dict[str, str]:
    found: dict[str, str] = {}
    parameters: dict[str, Any] = {"ResourceArn": arn}
    while True:
        answer = table.client.request("list_tags_of_resource", **parameters)
        found.update((tag["Key"], tag["Value"]) for tag in answer.get("Tags", []))
        if not answer.get("NextToken"):
            return found
        parameters["NextToken"] = answer["NextToken"]
