"""An item as DynamoDB's wire format has it: names to typed values, ``{"pk": {"S": "AGENT#7"}}``."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["RawItem", "RawPage"]

RawItem = dict[str, dict[str, Any]]


class RawPage(NamedTuple):
    """What one request of a query or a scan gave.

    Attributes:
        items: those that the filter let through, in order.
        scanned: how many the server walked past, which is what is paid for.
        start: where the next page begins; ``None`` after the last one.
        read_units: what it took, where that was asked for.
    """

    items: list[RawItem]
    scanned: int
    start: RawItem | None
    read_units: float = 0.0
