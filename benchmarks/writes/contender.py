"""The contenders: ways to write events, each opened on a table and then timed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TypeVar, cast

from benchmarks.writes.events import Row, Work, row_of
from benchmarks.writes.meter import Meter
from quill_models import Settings

__all__ = ["Contender", "Counts", "RunSetup", "Write", "in_threads"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Counts:
    """The counts that a contender reports. A contender with blind writes reports none."""

    created: int
    duplicate: int

    @classmethod
    def of(cls, created: Iterable[bool]) -> Counts:
        """Count the events that were created, and the duplicates."""
        each = list(created)
        return cls(created=sum(each), duplicate=len(each) - sum(each))


@dataclass(frozen=True)
class RunSetup:
    """The table and the events of one run.

    Attributes:
        settings: Settings with the server and the table.
        meter: Records every request, see `Meter`.
        work: The events to write.
    """

    settings: Settings
    meter: Meter
    work: Work

    @cached_property
    def rows(self) -> list[Row]:
        """The events as plain Python values, see `row_of`."""
        return [row_of(event, self.settings) for event in self.work.events]


# Writes all events. Only this is timed.
Write = Callable[[], Counts | None]
# Prepares client, connection, model and objects, as a user has them before.
Open = Callable[[RunSetup], AbstractContextManager[Write]]


@dataclass(frozen=True)
class Contender:
    """One way to write events.

    Attributes:
        name: Name for ``--only``.
        label: Label in the report.
        where: ``module:function``, imported when it runs, because its libraries are optional.
        needs: Required libraries of the extra ``bench``.
        reports: Whether it reports which events are new. The others overwrite blindly.
        own_form: Whether it stores items in a form that the other contenders cannot read.
    """

    name: str
    label: str
    where: str
    needs: tuple[str, ...] = ()
    reports: bool = True
    own_form: bool = False

    def open(self, setup: RunSetup) -> AbstractContextManager[Write]:
        """Prepare the client and the events, and return the function to time."""
        module, function = self.where.split(":")
        found = import_module(f"benchmarks.writes.contenders.{module}")
        return cast("Open", getattr(found, function))(setup)

    def missing(self) -> list[str]:
        """Return the required libraries that are not installed."""
        return [library for library in self.needs if find_spec(library) is None]


def in_threads(count: int, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function for each item in ``count`` threads, and return the results in order."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, items))
