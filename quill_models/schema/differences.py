"""In what the live table is not what it shall be, and the request that mends each.

No request is made here: this compares, and names the change. Who may make it, and when, is the
business of `quill_models.schema.apply`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from quill_models.schema.declared import Declared, encryption, hash_first, tag_list
from quill_models.schema.live import Live, billing_mode_of, indexes_of

__all__ = ["Change", "Difference", "differences", "no_table"]


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
    harmful: bool = field(default=True)


_APPLY = "Run quill schema apply"


def no_table() -> Difference:
    """The difference of a table that does not exist; what makes it is more than one request."""
    return Difference(what="table", declared="exists", live="does not exist", remedy=_APPLY)


def differences(declared: Declared, live: Live) -> list[Difference]:
    """All of them, in the order in which they are to be mended; none where the two are equal."""
    name = live.table["TableName"]
    return [
        *_key_schema(declared, live),
        *_billing(declared, live, name),
        *_deletion_protection(declared, live, name),
        *_indexes(declared, live, name),
        *_stream(declared, live, name),
        *_ttl(declared, live, name),
        *_recovery(declared, live, name),
        *_encryption(declared, live, name),
        *_tags(declared, live),
    ]


def _update(step: str, name: str, *, deletes: str | None = None, **parameters: Any) -> Change:
    return Change(
        step=step,
        operation="update_table",
        parameters={"TableName": name, **parameters},
        deletes=deletes,
    )


def _key_schema(declared: Declared, live: Live) -> Iterator[Difference]:
    wanted = _typed(declared.table, declared.table["KeySchema"])
    found = _typed(live.table, live.table["KeySchema"])
    if found != wanted:
        yield Difference(
            what="key schema",
            declared=_words(wanted),
            live=_words(found),
            remedy="A key schema cannot be changed. Set QUILL_TABLE to another name, run quill "
            "schema apply, and load the data anew; the old table stays as it is.",
        )


def _billing(declared: Declared, live: Live, name: str) -> Iterator[Difference]:
    wanted, found = declared.table["BillingMode"], billing_mode_of(live.table)
    if found != wanted:
        yield Difference(
            what="billing mode",
            declared=wanted,
            live=found,
            remedy=_APPLY,
            change=_update(f"changed the billing mode to {wanted}", name, BillingMode=wanted),
            harmful=False,
        )


def _deletion_protection(declared: Declared, live: Live, name: str) -> Iterator[Difference]:
    if declared.protected and not live.table.get("DeletionProtectionEnabled", False):
        yield Difference(
            what="deletion protection",
            declared="on",
            live="off",
            remedy=_APPLY,
            change=_update("turned on deletion protection", name, DeletionProtectionEnabled=True),
            harmful=False,
        )


def _indexes(declared: Declared, live: Live, name: str) -> Iterator[Difference]:
    wanted = {index["IndexName"]: index for index in declared.table["GlobalSecondaryIndexes"]}
    found = {index["IndexName"]: index for index in indexes_of(live.table)}
    for index, specification in wanted.items():
        shall_be = _index_words(declared.table, specification)
        if index not in found:
            yield Difference(
                what=f"index {index!r}",
                declared=shall_be,
                live="does not exist",
                remedy=f"{_APPLY}, which creates and fills it",
                change=_create_index(declared, specification, name),
            )
        elif (is_now := _index_words(live.table, found[index])) != shall_be:
            yield Difference(
                what=f"index {index!r}",
                declared=shall_be,
                live=is_now,
                remedy=f"{_APPLY} --delete-index {index}, which deletes it and creates it anew. "
                "Reads that use it fail until it is filled.",
                change=_delete_index(index, name),
            )
    for index in found.keys() - wanted.keys():
        yield Difference(
            what=f"index {index!r}",
            declared="does not exist",
            live=_index_words(live.table, found[index]),
            remedy=f"Nothing of this package uses it. To delete it, run quill schema apply "
            f"--delete-index {index}",
            change=_delete_index(index, name),
            harmful=False,
        )


def _create_index(declared: Declared, index: Mapping[str, Any], name: str) -> Change:
    keys = [*declared.table["KeySchema"], *index["KeySchema"]]
    used = {key["AttributeName"] for key in keys}
    return _update(
        f"created the index {index['IndexName']!r}",
        name,
        AttributeDefinitions=[
            attribute
            for attribute in declared.table["AttributeDefinitions"]
            if attribute["AttributeName"] in used
        ],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )


def _delete_index(index: str, name: str) -> Change:
    return _update(
        f"deleted the index {index!r}",
        name,
        deletes=index,
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": index}}],
    )


def _stream(declared: Declared, live: Live, name: str) -> Iterator[Difference]:
    if not declared.stream:
        return
    wanted = declared.table["StreamSpecification"]
    found = live.table.get("StreamSpecification", {})
    if not found.get("StreamEnabled"):
        step, specification = "turned on the stream", wanted
    elif found["StreamViewType"] != wanted["StreamViewType"]:
        # It cannot be changed; a consumer has to go over to the new stream's ARN.
        step, specification = (
            f"turned off the stream of {found['StreamViewType']}, to make one of another view type",
            {"StreamEnabled": False},
        )
    else:
        return
    yield Difference(
        what="stream",
        declared=wanted["StreamViewType"],
        live=found["StreamViewType"] if found.get("StreamEnabled") else "off",
        remedy=f"{_APPLY}, which makes a new stream; consumers have to follow its ARN",
        change=_update(step, name, StreamSpecification=specification),
        harmful=False,
    )


def _ttl(declared: Declared, live: Live, name: str) -> Iterator[Difference]:
    if declared.ttl is None:
        return
    on = live.ttl["TimeToLiveStatus"] in {"ENABLED", "ENABLING"}
    attribute = live.ttl.get("AttributeName")
    if on and attribute == declared.ttl:
        return
    if on:
        step = f"turned off TTL on the attribute {attribute!r}"
        specification = {"Enabled": False, "AttributeName": attribute}
    else:
        step = f"turned on TTL on the attribute {declared.ttl!r}"
        specification = {"Enabled": True, "AttributeName": declared.ttl}
    yield Difference(
        what="TTL",
        declared=f"on the attribute {declared.ttl!r}",
        live=f"on the attribute {attribute!r}" if on else "off",
        remedy=f"{_APPLY}. AWS takes one change of it an hour.",
        change=Change(
            step=step,
            operation="update_time_to_live",
            parameters={"TableName": name, "TimeToLiveSpecification": specification},
        ),
        harmful=False,
    )


def _recovery(declared: Declared, live: Live, name: str) -> Iterator[Difference]:
    if declared.protected and live.point_in_time_recovery is False:
        yield Difference(
            what="point-in-time recovery",
            declared="on",
            live="off",
            remedy=_APPLY,
            change=Change(
                step="turned on point-in-time recovery",
                operation="update_continuous_backups",
                parameters={
                    "TableName": name,
                    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                },
            ),
            harmful=False,
        )


def _encryption(declared: Declared, live: Live, name: str) -> Iterator[Difference]:
    key = declared.kms_key
    if key is None or not live.encrypts:
        return
    found = live.table.get("SSEDescription", {})
    on = found.get("Status") in {"ENABLED", "ENABLING", "UPDATING"}
    arn = str(found.get("KMSMasterKeyArn", "")) if on else ""
    # AWS's own managed key cannot be told from another one by its ARN.
    if on and ("KMSMasterKeyId" not in encryption(key) or arn.endswith(key)):
        return
    yield Difference(
        what="encryption",
        declared=f"by the KMS key {key!r}",
        live=f"by the KMS key {arn!r}" if on else "by a key that DynamoDB owns",
        remedy=_APPLY,
        change=_update(
            f"changed the encryption to the KMS key {key!r}",
            name,
            SSESpecification=encryption(key),
        ),
        harmful=False,
    )


def _tags(declared: Declared, live: Live) -> Iterator[Difference]:
    if live.tags is None:
        return
    lacking = {key: value for key, value in declared.tags.items() if live.tags.get(key) != value}
    if lacking:
        yield Difference(
            what="tags",
            declared=_tag_words(lacking),
            live=_tag_words({key: live.tags[key] for key in lacking if key in live.tags}) or "none",
            remedy=_APPLY,
            change=Change(
                step=f"set the tags {_tag_words(lacking)}",
                operation="tag_resource",
                parameters={"ResourceArn": live.table["TableArn"], "Tags": tag_list(lacking)},
            ),
            harmful=False,
        )


def _tag_words(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))


def _typed(table: Mapping[str, Any], key_schema: Any) -> list[tuple[str, str, str]]:
    """Keys as (name, type of the attribute, HASH or RANGE)."""
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    return [
        (key["AttributeName"], types[key["AttributeName"]], key["KeyType"])
        for key in hash_first(key_schema)
    ]


def _words(keys: list[tuple[str, str, str]]) -> str:
    return ", ".join(f"{name} ({kind}, {role})" for name, kind, role in keys)


def _index_words(table: Mapping[str, Any], index: Mapping[str, Any]) -> str:
    projection = index["Projection"]
    shown = projection["ProjectionType"]
    if names := sorted(projection.get("NonKeyAttributes", [])):
        shown = f"{shown} {', '.join(names)}"
    return f"{_words(_typed(table, index['KeySchema']))}; projects {shown}"
