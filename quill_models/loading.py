"""What sources give as a whole, such as agents, from JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import simplejson

from quill_models.models import Agent, Interaction, Metric, QuillModel
from quill_models.models.json_form import from_json
from quill_models.quill import Quill
from quill_models.values.errors import InvalidPayload
from quill_models.writes.results import WriteResult

__all__ = ["load", "read_models"]

_Put = Callable[[Iterable[Any]], Iterator[WriteResult[Any]]]

# Whose lines are put, and by what.
_LOADABLE: dict[type[QuillModel], Callable[[Quill], _Put]] = {
    Agent: lambda quill: quill.agents.iter_put_many,
    Interaction: lambda quill: quill.interactions.iter_put_many,
    Metric: lambda quill: quill.metrics.iter_put_many,
}


def read_models(lines: Iterable[bytes]) -> Iterator[QuillModel]:
    """The models of a JSON Lines file, one object a line, blank lines left out. Lazy.

    Raises:
        InvalidPayload: names the line.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            model = from_json(simplejson.loads(text, use_decimal=True, allow_nan=False))
        except InvalidPayload as error:
            raise InvalidPayload(error.reason, position=f"line {number}") from error
        except UnicodeDecodeError as error:
            raise InvalidPayload("not UTF-8", position=f"line {number}") from error
        except simplejson.JSONDecodeError as error:
            reason = f"not JSON, one object a line: {error.msg} at column {error.colno}"
            raise InvalidPayload(reason, position=f"line {number}") from error
        except (ValueError, RecursionError, ArithmeticError) as error:
            raise InvalidPayload(f"not JSON: {error}", position=f"line {number}") from error
        if type(model) not in _LOADABLE:
            allowed = ", ".join(loadable.KIND for loadable in _LOADABLE)
            raise InvalidPayload(
                f"{model.KIND} cannot be loaded; allowed are {allowed}", position=f"line {number}"
            )
        yield model


def load(quill: Quill, models: Iterable[QuillModel]) -> Iterator[WriteResult[Any]]:
    """Put models of any loadable kind, in order, the results as they come.

    Raises:
        InvalidPayload: from ``models``. What was put before stays.
        PartialWriteError: the table stopped answering. Do it again.
    """
    for model_type, group in groupby(models, key=type):
        yield from _LOADABLE[model_type](quill)(group)
