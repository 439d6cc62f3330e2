"""Reading and writing the fields of a model, computed once for each model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Self

from pynamodb.attributes import Attribute
from pynamodb.models import Model

from quill_models.models.attributes import (
    Choice,
    Document,
    Expiry,
    Instant,
    StrictAttribute,
    Text,
    Whole,
)
from quill_models.values.canonical import canonical_json
from quill_models.values.clock import epoch_text
from quill_models.values.keys import time_text

__all__ = ["FieldCodec"]

_PLAIN: dict[type[Attribute[Any]], Callable[[Any], Any] | None] = {
    Text: None,
    Choice: attrgetter("value"),
    Instant: time_text,
    Whole: str,
    Expiry: epoch_text,
}


@dataclass(frozen=True)
class FieldCodec:
    """The attributes of a model with their readers and writers.

    Attributes:
        declared: The fields in the order of their declaration.
        fields: The arguments of the constructor, required ones first.
        writers: The type and the serializer of each stored attribute, except for composed keys.
            Text has no serializer.
        readers: For each stored name the attribute, its type and its reader. A composed key has no
            attribute.
        version: The field with the time by which an older item is stale, if any.
    """

    declared: dict[str, StrictAttribute[Any, Any]]
    fields: dict[str, StrictAttribute[Any, Any]]
    writers: dict[str, tuple[str, Callable[[Any], Any] | None]]
    readers: dict[str, tuple[str | None, str, Callable[[Any], Any] | None]]
    version: str | None

    @classmethod
    def of(cls, model: type[Model], composed: type[Attribute[Any]]) -> Self:
        """Compute the codec of a model.

        Args:
            model: The model.
            composed: The type of the keys that are composed from the fields.
        """
        every = model.get_attributes()
        stored = {name: each for name, each in every.items() if not isinstance(each, composed)}
        # In the order of declaration, base classes first.
        names = [name for kind in reversed(model.__mro__) for name in inspect.get_annotations(kind)]
        declared = {
            name: each
            for name in dict.fromkeys(names)
            if isinstance(each := stored.get(name), StrictAttribute)
        }
        fields = {name: each for name, each in declared.items() if each.options.init}
        versions = [name for name, each in declared.items() if each.options.version]
        return cls(
            declared=declared,
            fields=dict(sorted(fields.items(), key=lambda one: not one[1].options.is_required)),
            writers={name: (each.attr_type, _writer(each)) for name, each in stored.items()},
            readers={
                each.attr_name: (
                    name if name in stored else None,
                    each.attr_type,
                    None if type(each) is Text else each.deserialize,
                )
                for name, each in every.items()
            },
            version=versions[0] if versions else None,
        )


def _writer(attribute: Attribute[Any]) -> Callable[[Any], Any] | None:
    if type(attribute) is Document:
        # Its error names the field.
        return partial(canonical_json, what=attribute.attr_name)
    return _PLAIN.get(type(attribute), attribute.serialize)
