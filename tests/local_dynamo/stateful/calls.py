"""Calls as data, so that the same one can be made of a `Quill` and of the plain model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from quill_models import Agent, Increment, Interaction, Key, Metric, Quill, WebhookEvent
from quill_models.models import QuillModel
from quill_models.writes.results import WriteResult
from tests.local_dynamo.stateful.plain import STAMPS, Row, Told, World, content_of

__all__ = ["Call", "apply", "models_of", "row_of", "rows_of", "send", "told_of"]

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
        repository: ``agents``, ``store`` …
        verb: ``put``, ``record``, ``delete`` …
        given: the fields of each item; only one where ``many`` is false.
        many: whether it is the call for many items.
        options: what else the call takes.
    """

    repository: str
    verb: str
    given: tuple[Row, ...]
    many: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def row_of(model: QuillModel | Increment) -> Row:
    """A model as the plain model has it."""
    if isinstance(model, Increment):
        return vars(model)
    return {name: getattr(model, name) for name in (*model.codec().fields, *STAMPS)}


def told_of(result: WriteResult[Any]) -> Told:
    """What a result says."""
    assert result.created is (result.outcome == "created")
    return Told(str(result.outcome), row_of(result.item))


def models_of(call: Call) -> Sequence[Any]:
    """What is handed to the repository: a model for each item, or what else it takes."""
    if call.verb == "delete" or call.repository == "store":
        return call.given
    make = Increment if call.verb == "add" else MODELS[call.repository]
    return [make(**fields) for fields in call.given]


def apply(world: World, call: Call, rows: Sequence[Row], now: datetime) -> list[Told | None]:
    """Make a call of the plain model, or a part of one: one item after the other."""
    return [world[call.repository].apply(call.verb, row, now) for row in rows]


def send(quill: Quill, call: Call, models: Sequence[Any] | None = None) -> list[Told | None]:
    """Make a call of a `Quill`.

    Args:
        quill: whose.
        call: the call.
        models: some of what `models_of` gave, to call it for those only.
    """
    given = models_of(call) if models is None else models
    if call.repository == "store":
        return [_send_to_store(quill, call.verb, given[0])]
    repository = getattr(quill, call.repository)
    if call.verb == "delete":
        repository.delete(*given[0].values())
        return [None]
    if call.many:
        results = getattr(repository, f"{call.verb}_many")(given, **call.options)
        return [told_of(result) for result in results]
    return [told_of(getattr(repository, call.verb)(*given))]


def rows_of(call: Call) -> list[Row]:
    """What a call is about, as the plain model has it."""
    if call.verb == "delete" or call.repository == "store":
        return list(call.given)
    # What the constructors fill in is not what is tested here.
    return [content_of(row_of(model)) for model in models_of(call)]


def _send_to_store(quill: Quill, verb: str, given: Row) -> Told | None:
    key = Key(given["pk"], given["sk"])
    if verb == "delete":
        quill.store.delete(key)
        return None
    if verb == "check_and_mark":
        return Told(quill.store.check_and_mark(key, given["ttl"]))
    kept_out = given["if_not_exists"]
    return Told(quill.store.put(key, given["item"], if_not_exists=kept_out, ttl=given["ttl"]))
