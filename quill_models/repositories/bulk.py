"""Bulk calls over models: the `*_many` and `iter_*_many` of the repositories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from quill_models.attributes import choice
from quill_models.bulk_writes import send_many
from quill_models.chunk import Prefer
from quill_models.errors import PartialWriteError
from quill_models.results import WriteResult
from quill_models.table import Table
from quill_models.writes import Write

__all__ = ["iter_many", "list_many"]

M = TypeVar("M")
WriteOf = Callable[[Table, M], Write[WriteResult[M]]]


def iter_many(
    table: Table, write_of: WriteOf[M], models: Iterable[M], prefer: Prefer | str = Prefer.SPEED
) -> Iterator[WriteResult[M]]:
    """The results in input order, as they come; see `send_many`.

    Raises:
        PartialWriteError: ``results`` and ``pending`` cover the models taken from the iterable
            whose results were not yet given.
    """
    return send_many(table, partial(write_of, table), models, choice(Prefer, prefer, "prefer"))


def list_many(
    table: Table, write_of: WriteOf[M], models: Iterable[M], prefer: Prefer | str = Prefer.SPEED
) -> list[WriteResult[M]]:
    """All results in input order.

    Raises:
        PartialWriteError: ``results`` and ``pending`` cover all the input.
    """
    source = _Given(models)
    results: list[WriteResult[Any]] = []
    try:
        results.extend(iter_many(table, write_of, source, prefer))
    except PartialWriteError as error:
        if error is source.error:
            # Of another bulk write, whose results are the models here.
            raise
        pending = [*error.pending, *_rest(source, error)]
        known = [*results, *error.results]
        raise PartialWriteError(
            f"{error} The outcome of {len(known)} is known (.results); {len(pending)} are "
            "pending (.pending) and safe to send again.",
            results=known,
            pending=pending,
        ) from error
    return results


class _Given(Iterator[M]):
    """The models, and the error that they end with."""

    def __init__(self, models: Iterable[M]) -> None:
        self._models = iter(models)
        self.error: Exception | None = None

    def __next__(self) -> M:
        try:
            return next(self._models)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise


def _rest(source: Iterator[M], error: PartialWriteError) -> list[M]:
    rest: list[M] = []
    try:
        rest.extend(source)
    except Exception as also:  # noqa: BLE001 -- what is known must not be lost over it
        error.add_note(f"The input ended with an error of its own: {also!r}")
    return rest
