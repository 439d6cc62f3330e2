"""The table as the calls of the DynamoDB API that make it."""

from __future__ import annotations

from typing import Any

from quill_models.schema.declared import Declared
from quill_models.settings import Settings

__all__ = ["api_calls"]


def api_calls(declared: Declared, settings: Settings) -> dict[str, Any]:
    """Name to parameters, to be called in this order, each once the table is active.

    ``CreateTable`` takes neither TTL nor point-in-time recovery; these are calls of their own.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
    """
    name = {"TableName": settings.table}
    calls: dict[str, Any] = {
        "CreateTable": {**name, **declared.create_parameters()},
        "UpdateTimeToLive": {
            **name,
            "TimeToLiveSpecification": {"Enabled": True, "AttributeName": declared.ttl},
        },
    }
    if declared.protected:
        calls["UpdateContinuousBackups"] = {
            **name,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        }
    return calls
