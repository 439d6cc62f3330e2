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

    Attributes:
        items: how many to ask for next.
    """

    def __init__(self) -> None:
        self.items = _FIRST

    def saw(self, scanned: int) -> None:
        """Learn from a page that was asked for by this limit.

        Args:
            scanned: how many items the page holds, those that a filter left out included.
        """
        # One that held all it was asked for could have held more.
        self.items = self.items * 2 if scanned >= self.items else scanned + scanned // 4 + 1


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
