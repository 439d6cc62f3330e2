"""How many items a request for a page asks for."""

from __future__ import annotations

from typing import NamedTuple

from quill_models.dynamodb.items import RawItem

__all__ = ["PageLimit", "RawPage"]

# More than a megabyte holds of our own items, the smallest of which have some 350 bytes.
_FIRST = 3000


class PageLimit:
    """So many that the page is full: 1 MB, which is the most that DynamoDB gives at once.

    AWS does not need the limit, and does not feel one that is above what fits. DynamoDB Local 3.3.0
    without one goes through all the rest of the list for each page: a list of twice the length
    takes it four times as long (``python -m benchmarks.reads`` shows it).
    """

    def __init__(self) -> None:
        self.items = _FIRST

    def saw(self, scanned: int) -> None:
        """Learn how many items a page held, those that a filter left out included."""
        # One that held all it was asked for could have held more.
        self.items = self.items * 2 if scanned >= self.items else scanned + scanned // 4 + 1


class RawPage(NamedTuple):
    """The response to one request of a query or a scan.

    Attributes:
        items: Those that the filter let through, in order.
        scanned: How many the server read, which is what is paid for.
        start: The start of the next page; None after the last one.
        read_units: What was consumed, if that was asked for.
    """

    items: list[RawItem]
    scanned: int
    start: RawItem | None
    read_units: float = 0.0
