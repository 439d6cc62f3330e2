"""The declared table: the schema of the models, and what the settings add on AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from quill_models.dynamodb.items import TTL
from quill_models.models import QuillModel
from quill_models.settings import Settings

__all__ = ["Declared", "declared_table", "encryption", "hash_first", "tag_list"]


@dataclass(frozen=True, kw_only=True)
class Declared:
    """The declared table.

    Attributes:
        table: Schema, as returned by `declared_table`.
        stream: Whether to turn on the stream. ``False`` leaves it unchanged.
        ttl: Attribute for TTL; ``None`` leaves TTL unchanged.
        protected: Whether to turn on point-in-time recovery and deletion protection. ``False``
            leaves both unchanged.
        kms_key: Encryption key, as in `Settings.kms_key`; ``None`` leaves it unchanged.
        tags: Tags to set. Other tags stay unchanged.
    """

    table: Mapping[str, Any]
    stream: bool
    ttl: str | None
    protected: bool
    kms_key: str | None
    tags: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings, *, stream: bool = True, ttl: bool = True) -> Declared:
        """Combine the schema of the models with the settings."""
        return cls(
            table=declared_table(),
            stream=stream,
            ttl=TTL if ttl else None,
            protected=settings.protected,
            kms_key=settings.kms_key,
            tags=settings.tags,
        )

    def create_parameters(self) -> dict[str, Any]:
        """Return the parameters of ``CreateTable`` without the name of the table."""
        parameters = dict(self.table)
        if not self.stream:
            del parameters["StreamSpecification"]
        if self.protected:
            parameters["DeletionProtectionEnabled"] = True
        if self.kms_key is not None:
            parameters["SSESpecification"] = encryption(self.kms_key)
        if self.tags:
            parameters["Tags"] = tag_list(self.tags)
        return parameters

    def later_calls(self) -> dict[str, dict[str, Any]]:
        """Return the calls for what ``CreateTable`` does not support, by name, in order."""
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
        ttl = {"Enabled": True, "AttributeName": self.ttl}
        calls: dict[str, dict[str, Any]] = {"UpdateTimeToLive": {"TimeToLiveSpecification": ttl}}
        if self.protected:
            recovery = {"PointInTimeRecoveryEnabled": True}
            calls["UpdateContinuousBackups"] = {"PointInTimeRecoverySpecification": recovery}
        return calls


def declared_table() -> dict[str, Any]:
    """Return the schema of the models as parameters of ``CreateTable``, without a table name."""
    schema = QuillModel._get_schema()  # noqa: SLF001
    meta = QuillModel.Meta
    return {
        "AttributeDefinitions": sorted(
            map(dict, schema["attribute_definitions"]), key=itemgetter("AttributeName")
        ),
        "KeySchema": hash_first(schema["key_schema"]),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index["index_name"],
                "KeySchema": hash_first(index["key_schema"]),
                "Projection": dict(index["projection"]),
            }
            for index in sorted(schema["global_secondary_indexes"], key=itemgetter("index_name"))
        ],
        "BillingMode": meta.billing_mode,
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": meta.stream_view_type},
    }


def hash_first(key_schema: Any) -> list[dict[str, str]]:
    """Order a key schema as AWS requires: the partition key first."""
    return sorted(map(dict, key_schema), key=itemgetter("KeyType"))


def encryption(kms_key: str) -> dict[str, Any]:
    """Return the ``SSESpecification`` for `Settings.kms_key`."""
    specification: dict[str, Any] = {"Enabled": True, "SSEType": "KMS"}
    if kms_key != Settings.AWS_MANAGED_KEY:
        specification["KMSMasterKeyId"] = kms_key
    return specification


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Convert tags to the format of the API."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
