"""Models as JSON objects: what `quill load` reads and `quill list --json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from quill_models.models import QuillModel
from quill_models.models.attributes import Instant
from quill_models.models.registry import MODELS
from quill_models.values.clock import epoch_seconds
from quill_models.values.errors import InvalidPayload, InvalidValue
from quill_models.values.keys import time_text

__all__ = ["from_json", "to_json"]


def to_json(model: QuillModel) -> dict[str, Any]:
    """The model as JSON's types: its kind, its fields, and when it was stored.

    Times are text in UTC with microseconds, decimals are `Decimal` (print them with simplejson's
    ``use_decimal``), ``ttl`` is in epoch seconds.
    """
    fields = {
        **{name: getattr(model, name) for name in model.codec().fields},
        "created_at": model.created_at,
        "updated_at": model.updated_at,
    }
    shown = {"kind": model.KIND, **{name: _shown(value) for name, value in fields.items()}}
    shown["ttl"] = None if model.ttl is None else epoch_seconds(model.ttl)
    return shown


def from_json(fields: Any) -> QuillModel:
    """The model of a JSON object with a ``kind`` and the model's fields.

    Raises:
        InvalidPayload: no object, an unknown kind or field, a field that is missing or wrong.
    """
    if not isinstance(fields, Mapping):
        raise InvalidPayload(f"expected an object, found {type(fields).__name__}")
    given = dict(fields)
    kind = given.pop("kind", None)
    model = MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise InvalidPayload(f"kind is {kind!r}; allowed are {', '.join(MODELS)}")
    # What `to_json` adds is set anew when the item is stored.
    for name in ("created_at", "updated_at", "ttl"):
        given.pop(name, None)
    known = model.codec().fields
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InvalidPayload(f"{kind} has no field {unknown[0]!r}; it has {', '.join(known)}")
    needed = [
        name
        for name, attribute in known.items()
        if attribute.options.is_required and given.get(name) is None
    ]
    if needed:
        raise InvalidPayload(f"{kind} needs {', '.join(needed)}")
    try:
        return model(
            **{
                name: _time(name, value) if isinstance(known[name], Instant) else value
                for name, value in given.items()
                if value is not None
            }
        )
    except InvalidValue as error:
        raise InvalidPayload(f"{kind}: {error}") from error


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Decimal) and value == value.to_integral_value():
        # 3 rather than 3.0 or 3E+2.
        return int(value)
    return value


def _time(name: str, value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        instant = None
    if instant is not None and instant.tzinfo is None:
        raise InvalidPayload(f"{name} is {value!r}, without a time zone; add Z for UTC, or +02:00")
    if instant is None:
        raise InvalidPayload(f"{name} is {value!r}; expected a time such as 2026-11-22T10:00:00Z")
    return instant
