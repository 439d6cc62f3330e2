"""The table as a CloudFormation template."""

from __future__ import annotations

from typing import Any

from quill_models.schema.declared import Declared
from quill_models.settings import Settings

__all__ = ["cloudformation"]

_RESOURCE = "QuillTable"


def cloudformation(declared: Declared, settings: Settings) -> dict[str, Any]:
    """Return a template of the table, with its ARNs as outputs.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-dynamodb-table.html
    """
    properties = declared.create_parameters()
    # CloudFormation declares a stream by its view type only, and names the encryption differently.
    stream = properties.pop("StreamSpecification")
    encryption = properties.pop("SSESpecification", None)
    properties |= {
        "TableName": {"Ref": "TableName"},
        "StreamSpecification": {"StreamViewType": stream["StreamViewType"]},
    }
    for parameters in declared.later_calls().values():
        properties |= parameters
    if encryption is not None:
        encryption["SSEEnabled"] = encryption.pop("Enabled")
        properties["SSESpecification"] = encryption
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The table of quill-models.",
        "Parameters": {
            "TableName": {
                "Type": "String",
                "Default": settings.table,
                "Description": "Name of the table, the value of QUILL_TABLE.",
            }
        },
        "Resources": {
            _RESOURCE: {
                "Type": "AWS::DynamoDB::Table",
                # Deleting or replacing the stack's resource must not delete the data.
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": properties,
            }
        },
        "Outputs": {
            "TableArn": {"Value": {"Fn::GetAtt": [_RESOURCE, "Arn"]}},
            "StreamArn": {"Value": {"Fn::GetAtt": [_RESOURCE, "StreamArn"]}},
        },
    }
