"""An item as DynamoDB's wire format has it: names to typed values, ``{"pk": {"S": "AGENT#7"}}``."""

from __future__ import annotations

from typing import Any

__all__ = ["RawItem"]

RawItem = dict[str, dict[str, Any]]
