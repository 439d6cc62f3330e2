"""Results of all runs: medians, their spread, ratios within a round, and targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

from benchmarks.writes.measure import Run

__all__ = ["Results", "Spread", "Target", "shown"]

OURS, PEER, BLIND = "quill-many", "pynamodb-save-8", "pynamodb-batch"


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of some rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """Summarize values; return ``None`` if there is no value."""
        every = list(values)
        return cls(median(every), min(every), max(every)) if every else None


def shown(spread: Spread | None, digits: int) -> str:
    """Format a spread for a cell of a table."""
    if spread is None:
        return "-"
    middle, least, most = (
        f"{value:,.{digits}f}" for value in (spread.median, spread.least, spread.most)
    )
    return f"{middle} ({least}-{most})"


@dataclass(frozen=True)
class Target:
    """A target, which is reached if the median of ``ratio`` is at least ``at_least``."""

    text: str
    at_least: float
    ratio: Spread | None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; ``None`` if it was not measured."""
        return None if self.ratio is None else self.ratio.median >= self.at_least


class Results:
    """The results of all runs."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs

    def of(self, contender: str, input_: str) -> list[Run]:
        """Return the runs of a contender on an input, by round."""
        return [run for run in self.runs if (run.contender, run.input) == (contender, input_)]

    def spread(self, contender: str, input_: str, value: Callable[[Run], float]) -> Spread | None:
        """Return the spread of a value of these runs."""
        return Spread.of(map(value, self.of(contender, input_)))

    def ratio(
        self, contender: str, base: str, input_: str, *, on: str | None = None
    ) -> Spread | None:
        """Return how many times as fast as ``base`` a contender is, compared within each round.

        Args:
            contender: Name of the contender.
            base: Name of the contender to compare with.
            input_: Input of the contender.
            on: Input of the base. The default is ``input_``.
        """
        rates = {run.round: run.rate for run in self.of(base, on or input_)}
        return Spread.of(
            run.rate / rates[run.round] for run in self.of(contender, input_) if run.round in rates
        )

    def targets(self) -> list[Target]:
        """Return the targets of this package."""
        return [
            Target(
                "record_many of new events is at least 5 times as fast as PynamoDB's conditional "
                "saves in eight threads",
                5,
                self.ratio(OURS, PEER, "new"),
            ),
            Target(
                "record_many of new events is at least as fast as PynamoDB's blind batch_write",
                1,
                self.ratio(OURS, BLIND, "new"),
            ),
            Target(
                "record_many of duplicates is at least as fast as of new events",
                1,
                self.ratio(OURS, OURS, "duplicate", on="new"),
            ),
        ]
