"""The histories that calls with lost responses or concurrent calls can have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations

from tests.local_dynamo.stateful.calls import Call, apply, rows_of
from tests.local_dynamo.stateful.model import Result, Row, TableModel

__all__ = ["History", "Results", "interleaved", "repeated"]

Results = list["Result | None"]


@dataclass(frozen=True)
class History:
    """One possible order of writes.

    Attributes:
        results: The results of the call.
        other_results: The results of the other client's call.
        table: The table afterwards.
        earlier_rows: Rows that were stored between the two calls. A retry can return them.
    """

    results: Results
    other_results: Results
    table: TableModel
    earlier_rows: list[Row] = field(default_factory=list)

    def explains(self, results: Results, other_results: Results) -> bool:
        """Return whether the observed results fit this history."""
        rows = self.table.rows() + self.earlier_rows
        return _match(results, self.results, rows) and _match(
            other_results, self.other_results, rows
        )


def interleaved(table: TableModel, call: Call, other: Call, now: datetime) -> Iterator[History]:
    """Yield each history in which the other call runs between two items of a bulk call.

    An item written before the other call may be written again after it, if the response was lost.
    But an item that the first write created must be reported as created.
    """
    rows = rows_of(call)
    for before in range(len(rows) + 1):
        for repeated_from in range(before + 1):
            after = table.copy()
            first = apply(after, call, rows[:before], now)
            other_results = apply(after, other, rows_of(other), now)
            earlier_rows = after.rows()
            last = apply(after, call, rows[repeated_from:], now)
            pairs = zip(first[repeated_from:], last, strict=False)
            if all(_created(later) for earlier, later in pairs if _created(earlier)):
                yield History(first[:repeated_from] + last, other_results, after, earlier_rows)


def repeated(
    table: TableModel, call: Call, pending: Sequence[int], now: datetime
) -> Iterator[History]:
    """Yield each history of a retried call, whose pending items may have been written before.

    Args:
        table: The table before the call.
        call: The call.
        pending: The indexes of the items without a result.
        now: The time of all writes.
    """
    rows = rows_of(call)
    for number in range(len(pending) + 1):
        for written in combinations(pending, number):
            after = table.copy()
            known: Results = []
            for at, row in enumerate(rows):
                if at not in pending:
                    known += apply(after, call, [row], now)
                elif at in written:
                    apply(after, call, [row], now)
            retried = apply(after, call, [rows[at] for at in pending], now)
            yield History(known + retried, [], after)


def _created(result: Result | None) -> bool:
    return result is not None and result.outcome in {"created", True}


def _match(observed: Results, expected: Results, rows: Sequence[Row]) -> bool:
    """Return whether the outcomes are equal, and each item equal or stored at another moment."""
    return len(observed) == len(expected) and all(
        got == want
        or (
            got is not None and want is not None and got.outcome == want.outcome and got.row in rows
        )
        for got, want in zip(observed, expected, strict=True)
    )
