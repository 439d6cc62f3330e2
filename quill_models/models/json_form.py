"""Models as JSON objects, for `quill load` and `quill list --json`."""

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
from quill_models.values.conversion import shown
from quill_models.values.errors import InvalidPayload, InvalidValue
from quill_models.values.keys import time_text

__all__ = ["from_json", "to_json"]


def to_json(model: QuillModel) -> dict[str, Any]:
    """Return a model as a JSON object: its kind, its fields, and when it was stored.

    Times are text in UTC with microseconds, decimals are `Decimal` (print them with simplejson's
    ``use_decimal``), and ``ttl`` is in epoch seconds.
    """
    fields = {
        **{name: getattr(model, name) for name in model.codec().fields},
        "created_at": model.created_at,
        "updated_at": model.updated_at,
    }
    document = {"kind": model.KIND, **{name: _json_value(value) for name, value in fields.items()}}
    document["ttl"] = None if model.ttl is None else epoch_seconds(model.ttl)
    return document


def from_json(fields: Any) -> QuillModel:
    """Return the model of a JSON object with a ``kind`` and the fields of the model.

    Raises:
        InvalidPayload: Not an object, an unknown kind or field, or a missing or invalid field.
    """
    if not isinstance(fields, Mapping):
        raise InvalidPayload(f"expected an object, got {type(fields).__name__}")
    given = dict(fields)
    kind = given.pop("kind", None)
    model = MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise InvalidPayload(f"kind must be one of {', '.join(MODELS)}, got {shown(kind)}")
    # `to_json` adds these, and storing the item sets them again.
    for name in ("created_at", "updated_at", "ttl"):
        given.pop(name, None)
    known = model.codec().fields
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InvalidPayload(
            f"{kind} has no field '{unknown[0]}'. Its fields are {', '.join(known)}."
        )
    needed = [
        name
        for name, attribute in known.items()
        if attribute.options.is_required and given.get(name) is None
    ]
    if needed:
        raise InvalidPayload(f"{kind} requires {', '.join(needed)}")
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


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Decimal) and value == value.to_integral_value():
        # 3 instead of 3.0 or 3E+2.
        return int(value)
    return value


def _time(name: str, value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        instant = None
    if instant is not None and instant.tzinfo is None:
        raise InvalidPayload(
            f"{name} has no time zone: {value}. Add Z for UTC, or an offset such as +02:00."
        )
    if instant is None:
        raise InvalidPayload(
            f"{name} must be a time such as 2026-11-22T10:00:00Z, got {shown(value)}"
        )
    return instant
