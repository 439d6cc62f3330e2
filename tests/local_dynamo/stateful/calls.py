"""Calls as data, to execute on a `Quill` and on the model of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from quill_models import Agent, Increment, Interaction, Key, Metric, Quill, WebhookEvent
from quill_models.models import QuillModel
from quill_models.writes.results import WriteResult
from tests.local_dynamo.stateful.model import STAMPS, Result, Row, TableModel, content_of

__all__ = ["Call", "apply", "models_of", "result_of", "row_of", "rows_of", "send"]

MODELS: dict[str, type[QuillModel]] = {
    "agents": Agent,
    "interactions": Interaction,
    "metrics": Metric,
    "webhook_events": WebhookEvent,
}


@dataclass(frozen=True)
class Call:
    """One call of one repository.

    Attributes:
        repository: The name of the repository, such as ``agents`` or ``store``.
        verb: The method, such as ``put``. A bulk call uses ``put_many``.
        items: The fields of each item. Exactly one, unless ``bulk`` is true.
        bulk: Whether this is a bulk call.
        options: Further arguments of the call.
    """

    repository: str
    verb: str
    items: tuple[Row, ...]
    bulk: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def row_of(model: QuillModel | Increment) -> Row:
    """Convert a model to a row."""
    if isinstance(model, Increment):
        return vars(model)
    return {name: getattr(model, name) for name in (*model.codec().fields, *STAMPS)}


def result_of(result: WriteResult[Any]) -> Result:
    """Convert a result."""
    assert result.created is (result.outcome == "created")
    return Result(str(result.outcome), row_of(result.item))


def models_of(call: Call) -> Sequence[Any]:
    """Return the arguments for the repository: a model for each item, or its fields."""
    if call.verb == "delete" or call.repository == "store":
        return call.items
    make = Increment if call.verb == "add" else MODELS[call.repository]
    return [make(**fields) for fields in call.items]


def apply(table: TableModel, call: Call, rows: Sequence[Row], now: datetime) -> list[Result | None]:
    """Execute a call for these rows on the model, one row after the other."""
    return [table[call.repository].apply(call.verb, row, now) for row in rows]


def send(quill: Quill, call: Call, models: Sequence[Any] | None = None) -> list[Result | None]:
    """Execute a call on a `Quill`.

    Args:
        quill: The client.
        call: The call.
        models: Some of the models from `models_of`. None for all.
    """
    arguments = models_of(call) if models is None else models
    if call.repository == "store":
        return [_send_to_store(quill, call.verb, arguments[0])]
    repository = getattr(quill, call.repository)
    if call.verb == "delete":
        repository.delete(*arguments[0].values())
        return [None]
    if call.bulk:
        results = getattr(repository, f"{call.verb}_many")(arguments, **call.options)
        return [result_of(result) for result in results]
    return [result_of(getattr(repository, call.verb)(*arguments))]


def rows_of(call: Call) -> list[Row]:
    """Return the rows of a call, for the model."""
    if call.verb == "delete" or call.repository == "store":
        return list(call.items)
    # Defaults of the constructors are not under test here.
    return [content_of(row_of(model)) for model in models_of(call)]


def _send_to_store(quill: Quill, verb: str, row: Row) -> Result | None:
    key = Key(row["pk"], row["sk"])
    if verb == "delete":
        quill.store.delete(key)
        return None
    if verb == "check_and_mark":
        return Result(quill.store.check_and_mark(key, row["ttl"]))
    if_not_exists = row["if_not_exists"]
    return Result(quill.store.put(key, row["item"], if_not_exists=if_not_exists, ttl=row["ttl"]))
