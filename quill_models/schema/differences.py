"""In what the live table is not what it shall be, and the request that mends each.

No request is made here; `quill_models.schema.apply` decides who may make it, and when.
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
    """One request that brings the table nearer to what it shall be.

    Attributes:
        step: what has been done, in words.
        operation: of the DynamoDB API, as botocore calls it.
        parameters: with the table's name or ARN.
        deletes: the index that is deleted by it; this is done only where it was asked for.
    """

    step: str
    operation: str
    parameters: Mapping[str, Any]
    deletes: str | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing in which the live table is not what it shall be.

    Attributes:
        what: such as ``index 'gsi3'`` or ``TTL``.
        declared: how it shall be, in words.
        live: how it is.
        remedy: what mends it, in words.
        change: the next request on the way there; ``None`` where nothing can mend it in place.
        harmful: whether the package cannot work as long as it is so.
    """

    what: str
    declared: str
    live: str
    remedy: str
    change: Change | None = None
    harmful: bool = True


_APPLY = "Run quill schema apply"
_NO_SUCH = "does not exist"
# Of a table that does not exist; what makes it is more than one request.
NO_TABLE = Difference(what="table", declared="exists", live=_NO_SUCH, remedy=_APPLY)


def differences(declared: Declared, live: Live) -> list[Difference]:
    """All of them, in the order in which they are to be mended; none where the two are equal."""
    looks = (
        *(_key_schema, _billing, _deletion_protection, _indexes),
        *(_stream, _ttl, _recovery, _encryption, _tags),
    )
    return [each for look in looks for each in look(declared, live)]


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
            "schema apply, and load the data anew; the old table stays as it is.",
        )


def _billing(declared: Declared, live: Live) -> Iterator[Difference]:
    wanted = declared.table["BillingMode"]
    # A table that was never on demand says nothing of it.
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
        shall_be = _index_words(declared.table, wanted.get(name))
        is_now = _index_words(live.table, found.get(name))
        if is_now == shall_be:
            continue
        step, update = f"deleted the index {name!r}", {"Delete": {"IndexName": name}}
        change = _change(live, step, GlobalSecondaryIndexUpdates=[update])
        change = replace(change, deletes=name)
        if name not in found:
            change = _create_index(declared, live, wanted[name])
            remedy = f"{_APPLY}, which creates and fills it"
        elif name in wanted:
            remedy = f"{_APPLY} --delete-index {name}, which deletes it and creates it anew. "
            remedy += "Reads that use it fail until it is filled."
        else:
            remedy = "Nothing of this package uses it. To delete it, run quill schema apply "
            remedy += f"--delete-index {name}"
        yield Difference(
            what=f"index {name!r}",
            declared=shall_be,
            live=is_now,
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
        f"created the index {index['IndexName']!r}",
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
        # It cannot be changed; a consumer has to go over to the new stream's ARN.
        step = f"turned off the stream of {found}, to make one of another view type"
        specification = {"StreamEnabled": False}
    change = _change(live, step, StreamSpecification=specification)
    remedy = f"{_APPLY}, which makes a new stream; consumers have to follow its ARN"
    yield _harmless("stream", wanted, found, change, remedy)


def _ttl(declared: Declared, live: Live) -> Iterator[Difference]:
    if declared.ttl is None:
        return
    on = live.ttl["TimeToLiveStatus"] in {"ENABLED", "ENABLING"}
    found = live.ttl.get("AttributeName")
    if on and found == declared.ttl:
        return
    # Another attribute's has to be turned off first.
    attribute = found if on else declared.ttl
    step = f"turned {'off' if on else 'on'} TTL on the attribute {attribute!r}"
    specification = {"Enabled": not on, "AttributeName": attribute}
    yield _harmless(
        "TTL",
        f"on the attribute {declared.ttl!r}",
        f"on the attribute {found!r}" if on else "off",
        _change(live, step, "update_time_to_live", TimeToLiveSpecification=specification),
        remedy=f"{_APPLY}. AWS takes one change of it an hour.",
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
    # AWS's own managed key cannot be told from another one by its ARN.
    if on and ("KMSMasterKeyId" not in wanted or arn.endswith(key)):
        return
    yield _harmless(
        "encryption",
        f"by the KMS key {key!r}",
        f"by the KMS key {arn!r}" if on else "by a key that DynamoDB owns",
        _change(live, f"changed the encryption to the KMS key {key!r}", SSESpecification=wanted),
    )


def _tags(declared: Declared, live: Live) -> Iterator[Difference]:
    if live.tags is None:
        return
    lacking = {key: value for key, value in declared.tags.items() if live.tags.get(key) != value}
    if lacking:
        found = {key: live.tags[key] for key in lacking if key in live.tags}
        change = Change(
            step=f"set the tags {_tag_words(lacking)}",
            operation="tag_resource",
            parameters={"ResourceArn": live.table["TableArn"], "Tags": tag_list(lacking)},
        )
        yield _harmless("tags", _tag_words(lacking), _tag_words(found) or "none", change)


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
