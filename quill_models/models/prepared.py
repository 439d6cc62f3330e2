"""What is worked out once for each model, and not for each item."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pynamodb.attributes import Attribute
from pynamodb.models import Model

from quill_models.models.attributes import Text

__all__ = ["Prepared"]


@dataclass(frozen=True)
class Prepared:
    """The attributes of a model, by name, and how each is read and written.

    Attributes:
        fields: what the constructor takes, in its order.
        writers: for each stored attribute but the composed keys its type, and what serializes it;
            text stands as it is.
        readers: by the stored name the attribute, its type, and what reads it. A composed key has
            no attribute here: it follows from the others.
    """

    fields: dict[str, Attribute[Any]]
    writers: dict[str, tuple[str, Callable[[Any], Any] | None]]
    readers: dict[str, tuple[str | None, str, Callable[[Any], Any] | None]]

    @classmethod
    def of(cls, model: type[Model], composed: type[Attribute[Any]]) -> Self:
        """Of one model.

        Args:
            model: which.
            composed: the type of the keys that are composed from the fields.
        """
        every = model.get_attributes()
        stored = {name: each for name, each in every.items() if not isinstance(each, composed)}
        parameters = inspect.signature(model.__init__).parameters
        return cls(
            fields={name: stored[name] for name in parameters if name != "self"},
            writers={
                name: (each.attr_type, None if type(each) is Text else each.serialize)
                for name, each in stored.items()
            },
            readers={
                each.attr_name: (
                    name if name in stored else None,
                    each.attr_type,
                    None if type(each) is Text else each.deserialize,
                )
                for name, each in every.items()
            },
        )
