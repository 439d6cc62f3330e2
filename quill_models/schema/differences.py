"""Differences between the live table and the declared one, each with the request that fixes it.

This module sends no requests; `quill_models.schema.apply` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from quill_models.schema.declared import Declared, encryption, hash_first, tag_list
from quill_models.schema.live import Live, is_local

__all__ = ["NO_TABLE", "Change", "Difference", "differences"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One request that removes a difference, or a part of it.

    Attributes:
        step: Report of the finished request, such as "turned on the stream".
        operation: Name of the botocore method.
        parameters: Parameters of the request, with the name or ARN of the table.
        deletes: Name of the index that it deletes. Such a request needs the user's permission.
    """

    step: str
    operation: str
    parameters: Mapping[str, Any]
    deletes: str | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference between the live table and the declared one.

    Attributes:
        what: The part that differs, such as ``index 'gsi3'`` or ``TTL``.
        declared: Declared state, in words.
        live: Live state, in words.
        remedy: Instruction for the user that fixes it.
        change: Next request to fix it; ``None`` if it cannot be fixed in place.
        harmful: Whether the package does not work until it is fixed.
    """

    what: str
    declared: str
    live: str
    remedy: str
    change: Change | None = None
    harmful: bool = True


_APPLY = "Run quill schema apply"
_NO_SUCH = "does not exist"
NO_TABLE = Difference(what="table", declared="exists", live=_NO_SUCH, remedy=_APPLY)


def differences(declared: Declared, live: Live) -> list[Difference]:
    """Return all differences in the order in which to fix them; empty if the two are equal."""
    checks = (
        *(_key_schema, _billing, _deletion_protection, _indexes),
        *(_stream, _ttl, _recovery, _encryption, _tags),
    )
    return [each for check in checks for each in check(declared, live)]


def _harmless(
    what: str, declared: str, live: str, change: Change, remedy: str = _APPLY
) -> Difference:
    return Difference(
        what=what, declared=declared, live=live, remedy=remedy, change=change, harmful=False
    )


def _change(live: Live, step: str, operation: str = "update_table", **parameters: Any) -> Change:
    parameters = {"TableName": live.table["TableName"], **parameters}
    return Change(step=step, operation=operation, parameters=parameters)


def _key_schema(declared: Declared, live: Live) -> Iterator[Difference]:
    wanted = _key_words(declared.table, declared.table["KeySchema"])
    found = _key_words(live.table, live.table["KeySchema"])
    if found != wanted:
        yield Difference(
            what="key schema",
            declared=wanted,
            live=found,
            remedy="A key schema cannot be changed. Set QUILL_TABLE to another name, run quill "
            "schema apply, and load the data again. The old table stays unchanged.",
        )


def _billing(declared: Declared, live: Live) -> Iterator[Difference]:
    wanted = declared.table["BillingMode"]
    # The summary is absent for a table that was never on demand.
    found = live.table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    if found != wanted:
        change = _change(live, f"changed the billing mode to {wanted}", BillingMode=wanted)
        yield _harmless("billing mode", wanted, found, change)


def _deletion_protection(declared: Declared, live: Live) -> Iterator[Difference]:
    if declared.protected and not live.table.get("DeletionProtectionEnabled", False):
        change = _change(live, "turned on deletion protection", DeletionProtectionEnabled=True)
        yield _harmless("deletion protection", "on", "off", change)


def _indexes(declared: Declared, live: Live) -> Iterator[Difference]:
    wanted = {index["IndexName"]: index for index in declared.table["GlobalSecondaryIndexes"]}
    found = {index["IndexName"]: index for index in live.table.get("GlobalSecondaryIndexes", [])}
    for name in [*wanted, *sorted(found.keys() - wanted.keys())]:
        declared_words = _index_words(declared.table, wanted.get(name))
        live_words = _index_words(live.table, found.get(name))
        if live_words == declared_words:
            continue
        step, update = f"deleted the index '{name}'", {"Delete": {"IndexName": name}}
        change = _change(live, step, GlobalSecondaryIndexUpdates=[update])
        change = replace(change, deletes=name)
        if name not in found:
            change = _create_index(declared, live, wanted[name])
            remedy = f"{_APPLY}, which creates and fills it"
        elif name in wanted:
            remedy = f"{_APPLY} --delete-index {name}, which deletes and recreates it. "
            remedy += "Reads of the index fail until it is filled."
        else:
            remedy = "This package does not use it. To delete it, run quill schema apply "
            remedy += f"--delete-index {name}"
        yield Difference(
            what=f"index '{name}'",
            declared=declared_words,
            live=live_words,
            remedy=remedy,
            change=change,
            harmful=name in wanted,
        )


def _create_index(declared: Declared, live: Live, index: Mapping[str, Any]) -> Change:
    keys = [*declared.table["KeySchema"], *index["KeySchema"]]
    used = {key["AttributeName"] for key in keys}
    attributes = declared.table["AttributeDefinitions"]
    return _change(
        live,
        f"created the index '{index['IndexName']}'",
        AttributeDefinitions=[each for each in attributes if each["AttributeName"] in used],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )


def _stream(declared: Declared, live: Live) -> Iterator[Difference]:
    specification = declared.table["StreamSpecification"]
    wanted = specification["StreamViewType"]
    stream = live.table.get("StreamSpecification", {})
    found = stream["StreamViewType"] if stream.get("StreamEnabled") else "off"
    if not declared.stream or found == wanted:
        return
    step = "turned on the stream"
    if found != "off":
        # The view type of a stream cannot be changed.
        step = f"turned off the stream of {found}, to create one of another view type"
        specification = {"StreamEnabled": False}
    change = _change(live, step, StreamSpecification=specification)
    remedy = f"{_APPLY}, which creates a new stream; consumers must switch to its ARN"
    yield _harmless("stream", wanted, found, change, remedy)


def _ttl(declared: Declared, live: Live) -> Iterator[Difference]:
    if declared.ttl is None:
        return
    on = live.ttl["TimeToLiveStatus"] in {"ENABLED", "ENABLING"}
    found = live.ttl.get("AttributeName")
    if on and found == declared.ttl:
        return
    # TTL on another attribute must be turned off first.
    attribute = found if on else declared.ttl
    step = f"turned {'off' if on else 'on'} TTL on the attribute '{attribute}'"
    specification = {"Enabled": not on, "AttributeName": attribute}
    yield _harmless(
        "TTL",
        f"on the attribute '{declared.ttl}'",
        f"on the attribute '{found}'" if on else "off",
        _change(live, step, "update_time_to_live", TimeToLiveSpecification=specification),
        remedy=f"{_APPLY}. AWS accepts one change of TTL an hour.",
    )


def _recovery(declared: Declared, live: Live) -> Iterator[Difference]:
    if declared.protected and live.point_in_time_recovery is False:
        parameters = declared.later_calls()["UpdateContinuousBackups"]
        step = "turned on point-in-time recovery"
        change = _change(live, step, "update_continuous_backups", **parameters)
        yield _harmless("point-in-time recovery", "on", "off", change)


def _encryption(declared: Declared, live: Live) -> Iterator[Difference]:
    key = declared.kms_key
    if key is None or is_local(live.table):
        return
    wanted = encryption(key)
    found = live.table.get("SSEDescription", {})
    on = found.get("Status") in {"ENABLED", "ENABLING", "UPDATING"}
    arn = str(found.get("KMSMasterKeyArn", ""))
    # The ARN does not show whether a key is the one that AWS manages.
    if on and ("KMSMasterKeyId" not in wanted or arn.endswith(key)):
        return
    yield _harmless(
        "encryption",
        f"by the KMS key '{key}'",
        f"by the KMS key '{arn}'" if on else "by a key that DynamoDB owns",
        _change(live, f"changed the encryption to the KMS key '{key}'", SSESpecification=wanted),
    )


def _tags(declared: Declared, live: Live) -> Iterator[Difference]:
    if live.tags is None:
        return
    missing = {key: value for key, value in declared.tags.items() if live.tags.get(key) != value}
    if missing:
        found = {key: live.tags[key] for key in missing if key in live.tags}
        change = Change(
            step=f"set the tags {_tag_words(missing)}",
            operation="tag_resource",
            parameters={"ResourceArn": live.table["TableArn"], "Tags": tag_list(missing)},
        )
        yield _harmless("tags", _tag_words(missing), _tag_words(found) or "none", change)


def _tag_words(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))


def _key_words(table: Mapping[str, Any], key_schema: Any) -> str:
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    return ", ".join(
        f"{key['AttributeName']} ({types[key['AttributeName']]}, {key['KeyType']})"
        for key in hash_first(key_schema)
    )


def _index_words(table: Mapping[str, Any], index: Mapping[str, Any] | None) -> str:
    if index is None:
        return _NO_SUCH
    projection = index["Projection"]
    shown = projection["ProjectionType"]
    if names := sorted(projection.get("NonKeyAttributes", [])):
        shown = f"{shown} {', '.join(names)}"
    return f"{_key_words(table, index['KeySchema'])}; projects {shown}"
