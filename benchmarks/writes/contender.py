"""What takes part: a way to write events, opened on a table and then timed."""

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

__all__ = ["Contender", "Site", "Told", "Write", "in_threads"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Told:
    """What a contender says it did. One that overwrites blindly has nothing to say."""

    created: int
    duplicate: int

    @classmethod
    def of(cls, created: Iterable[bool]) -> Told:
        """From whether each event was created."""
        each = list(created)
        return cls(created=sum(each), duplicate=len(each) - sum(each))


@dataclass(frozen=True)
class Site:
    """Where and what to write.

    Attributes:
        settings: name the server and the table.
        meter: is told of every request, see `Meter`.
        work: the events.
    """

    settings: Settings
    meter: Meter
    work: Work

    @cached_property
    def rows(self) -> list[Row]:
        """The events as plain Python values, see `row_of`."""
        return [row_of(event, self.settings) for event in self.work.events]


# Writes all events. Only this is timed.
Write = Callable[[], Told | None]
# Prepares what a user of that way has at hand before: client, connection, model, objects.
Open = Callable[[Site], AbstractContextManager[Write]]


@dataclass(frozen=True)
class Contender:
    """One way.

    Attributes:
        name: for ``--only``.
        label: for people.
        where: ``module:function``; loaded when it takes part, as it may need what is not there.
        needs: libraries of the extra ``bench``.
        tells: whether it says which events are new; the others overwrite blindly.
        own_form: it stores items that no other contender would know again.
    """

    name: str
    label: str
    where: str
    needs: tuple[str, ...] = ()
    tells: bool = True
    own_form: bool = False

    def open(self, site: Site) -> AbstractContextManager[Write]:
        """Get ready to write."""
        module, function = self.where.split(":")
        found = import_module(f"benchmarks.writes.contenders.{module}")
        return cast("Open", getattr(found, function))(site)

    def missing(self) -> list[str]:
        """The libraries that it needs and this Python does not have."""
        return [library for library in self.needs if find_spec(library) is None]


def in_threads(count: int, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results in order, from so many threads."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, items))
