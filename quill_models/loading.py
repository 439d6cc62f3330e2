"""Loading items, such as agents, from JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import simplejson

from quill_models import repositories
from quill_models.models import QuillModel
from quill_models.models.json_form import from_json
from quill_models.quill import Quill
from quill_models.repositories.repository import Puts
from quill_models.values.errors import InvalidPayload
from quill_models.writes.results import WriteResult

__all__ = ["load", "read_models"]

_NAMED = (getattr(repositories, name) for name in repositories.__all__)
_PUTTING: list[Any] = [each for each in _NAMED if issubclass(each, Puts)]
# The models that can be put, each with the name of its repository in `Quill`.
_LOADABLE: dict[type[QuillModel], str] = {each.MODEL: each.OPERATIONS for each in _PUTTING}


def read_models(lines: Iterable[bytes]) -> Iterator[QuillModel]:
    """Yield the models of a JSON Lines file, one object a line. Blank lines are skipped.

    Raises:
        InvalidPayload: A line is invalid. The message names the line.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            model = from_json(simplejson.loads(text, use_decimal=True, allow_nan=False))
            if type(model) not in _LOADABLE:
                allowed = ", ".join(loadable.KIND for loadable in _LOADABLE)
                raise InvalidPayload(f"kind must be one of {allowed}, got {model.KIND}")
        except (ValueError, RecursionError, ArithmeticError) as error:
            raise InvalidPayload(_reason(error), position=f"line {number}") from error
        yield model


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidPayload):
        return error.reason
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, simplejson.JSONDecodeError):
        return f"not JSON, one object a line: {error.msg} at column {error.colno}"
    return f"not JSON: {error}"


def load(quill: Quill, models: Iterable[QuillModel]) -> Iterator[WriteResult[Any]]:
    """Put models of any loadable kind in order, and yield the results.

    Raises:
        InvalidPayload: From ``models``. Models before it are stored.
        PartialWriteError: The table stopped responding. Retry the load.

    Cost:
        The requests of `put_many`.
    """
    for model_type, group in groupby(models, key=type):
        yield from getattr(quill, _LOADABLE[model_type]).iter_put_many(group)
