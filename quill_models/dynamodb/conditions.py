"""Condition expressions: what must hold of the stored item for a write to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from quill_models.dynamodb.items import PK, TTL, WRITE_TOKEN

__all__ = ["NOT_EXPIRED", "Condition"]


_ABSENT = "attribute_not_exists(#pk) OR #ttl <= :now"


# "Not expired" rather than "expires later": false for a missing or textual ttl.
NOT_EXPIRED = "NOT #ttl <= :now"


@dataclass(frozen=True)
class Condition:
    """A condition expression with what stands in it."""

    expression: str
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def absent(cls, now: datetime) -> Condition:
        """There is no such item, or it has expired."""
        return cls(
            _ABSENT,
            {"#pk": PK, "#ttl": TTL},
            {":now": {"N": str(int(now.timestamp()))}},
        )

    @classmethod
    def unchanged_since(cls, token: str | None) -> Condition:
        """The item is still the one that the write with this token stored."""
        if token is None:
            return cls("attribute_not_exists(#token)", {"#token": WRITE_TOKEN})
        return cls("#token = :token", {"#token": WRITE_TOKEN}, {":token": {"S": token}})

    @property
    def wants_absence(self) -> bool:
        """Whether it is the one of `absent`."""
        return self.expression == _ABSENT

    @classmethod
    def none(cls) -> Condition:
        """Whatever is there."""
        return cls("")

    def parameters(self) -> dict[str, Any]:
        """The parameters of a write with this condition, the stored item asked for on failure."""
        if not self.expression:
            return {}
        parameters: dict[str, Any] = {
            "ConditionExpression": self.expression,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if self.names:
            parameters["ExpressionAttributeNames"] = self.names
        if self.values:
            parameters["ExpressionAttributeValues"] = self.values
        return parameters
