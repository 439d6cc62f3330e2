"""Which methods are operations: a class says so once, for all that are public.

A list makes its requests when it is read, an iterator while it is used, and so are their operations
begun and ended. Which method returns one, its annotation says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from quill_models.observation import Operation

__all__ = ["observed", "operation"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


def observed(name: str, *, but: Collection[str] = ()) -> Callable[[type[C]], type[C]]:
    """Make each public method of a class an operation ``name.method``.

    Args:
        name: of the class, as users reach it.
        but: methods that are none: they make no request, or never end.
    """

    def observe(observed_class: type[C]) -> type[C]:
        for method, function in list(vars(observed_class).items()):
            if callable(function) and not method.startswith("_") and method not in but:
                setattr(observed_class, method, operation(f"{name}.{method}")(function))
        return observed_class

    return observe


def operation(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a method of an object with a ``_table`` an operation."""

    def observe(function: Callable[P, R]) -> Callable[P, R]:
        returns = str(function.__annotations__.get("return", ""))
        if returns.startswith("Query["):
            wrapper = _named(name, function)
        elif returns.startswith("Iterator["):
            wrapper = _iterating(name, function)
        else:
            wrapper = _calling(name, function)
        return cast("Callable[P, R]", wraps(function)(wrapper))

    return observe


def _calling(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with Operation(name, self._table) as begun:
            result = begun.run(function, self, *args, **kwargs)
            begun.came_to(result)
            return result

    return call


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        query = function(self, *args, **kwargs)
        query.operation = name
        return query

    return call


def _iterating(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        # What is wrong with the arguments is said at once, as ever.
        return _followed(Operation(name, self._table), function(self, *args, **kwargs))

    return call


def _followed(begun: Operation, results: Iterator[R]) -> Iterator[R]:
    with begun:
        try:
            while True:
                try:
                    result = begun.run(next, results)
                except StopIteration:
                    return
                begun.came_to(result)
                yield result
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                begun.run(close)
