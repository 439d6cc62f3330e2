"""Pages of queries and scans, and the number of items to request."""

from __future__ import annotations

from typing import NamedTuple

from quill_models.dynamodb.items import RawItem

__all__ = ["PageLimit", "RawPage"]

# More items than fit in 1 MB: the smallest of this package have about 350 bytes.
_FIRST = 3000


class PageLimit:
    """The number of items to request for a full page of 1 MB, the maximum of DynamoDB.

    AWS does not need the limit. Without one, DynamoDB Local 3.3.0 scans the rest of the list for
    each page, so a list of twice the length takes four times as long (``python -m
    benchmarks.reads``).
    """

    def __init__(self) -> None:
        self.items = _FIRST

    def update(self, scanned: int) -> None:
        """Note the number of items that the server read for a page."""
        # A page with all requested items could have had more.
        self.items = self.items * 2 if scanned >= self.items else scanned + scanned // 4 + 1


class RawPage(NamedTuple):
    """The response to one request of a query or a scan.

    Attributes:
        items: The items that pass the filter, in order.
        scanned: The number of items that the server read and charges.
        start: The start of the next page. None after the last one.
        read_units: The consumed capacity, if the request asked for it.
    """

    items: list[RawItem]
    scanned: int
    start: RawItem | None
    read_units: float = 0.0
