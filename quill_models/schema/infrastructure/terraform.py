"""The table as a Terraform resource."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from quill_models.schema.declared import Declared
from quill_models.settings import Settings

__all__ = ["terraform"]

# A list of arguments and inner blocks, because HCL repeats the names of blocks.
_Block = list[tuple[str, Any]]


def terraform(declared: Declared, settings: Settings) -> str:
    """Return a resource ``aws_dynamodb_table`` of the provider ``hashicorp/aws``.

    https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/dynamodb_table
    """
    table = declared.create_parameters()
    block: _Block = [
        ("name", settings.table),
        ("billing_mode", table["BillingMode"]),
        *_keys(table["KeySchema"]),
        ("stream_enabled", True),
        ("stream_view_type", table["StreamSpecification"]["StreamViewType"]),
        ("deletion_protection_enabled", declared.protected),
    ]
    if declared.tags:
        block.append(("tags", dict(declared.tags)))
    for each in table["AttributeDefinitions"]:
        attribute = [("name", each["AttributeName"]), ("type", each["AttributeType"])]
        block.append(("attribute", attribute))
    for each in table["GlobalSecondaryIndexes"]:
        projection = ("projection_type", each["Projection"]["ProjectionType"])
        index = [("name", each["IndexName"]), *_keys(each["KeySchema"]), projection]
        block.append(("global_secondary_index", index))
    block.append(("ttl", [("attribute_name", declared.ttl), ("enabled", True)]))
    block.append(("point_in_time_recovery", [("enabled", declared.protected)]))
    if encryption := table.get("SSESpecification"):
        inner: _Block = [("enabled", True)]
        if "KMSMasterKeyId" in encryption:
            inner.append(("kms_key_arn", encryption["KMSMasterKeyId"]))
        block.append(("server_side_encryption", inner))
    # A plan that would replace the table must not delete the data.
    block.append(("lifecycle", [("prevent_destroy", True)]))
    return "\n".join(['resource "aws_dynamodb_table" "quill" {', *_lines(block, 1), "}", ""])


def _keys(key_schema: Any) -> _Block:
    names = {"HASH": "hash_key", "RANGE": "range_key"}
    return [(names[key["KeyType"]], key["AttributeName"]) for key in key_schema]


def _lines(block: _Block, depth: int) -> list[str]:
    indent = "  " * depth
    lines: list[str] = []
    for name, value in block:
        if isinstance(value, list):
            lines += ["", f"{indent}{name} {{", *_lines(value, depth + 1), f"{indent}}}"]
        elif isinstance(value, Mapping):
            inner = [f"{indent}  {_text(key)} = {_text(each)}" for key, each in value.items()]
            lines += [f"{indent}{name} = {{", *inner, f"{indent}}}"]
        else:
            lines.append(f"{indent}{name} = {_text(value)}")
    return lines


def _text(value: str | bool) -> str:  # noqa: FBT001 -- a value of HCL, not a flag
    # HCL strings are JSON strings, except that ${ and %{ begin a template.
    return json.dumps(value).replace("${", "$${").replace("%{", "%%{")
