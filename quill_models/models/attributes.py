"""Strict attribute types, which check a value when it is assigned.

Each converts a value to its canonical form, or raises `InvalidValue` with the name of the field.
The stored values are plain DynamoDB: text, numbers and maps of text.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast, overload

import simplejson
from pynamodb.attributes import Attribute, TTLAttribute
from pynamodb.constants import MAP, NUMBER, STRING
from pynamodb_attributes import IntegerAttribute, UnicodeEnumAttribute

from quill_models.values.canonical import canonical_json
from quill_models.values.clock import aware_utc, epoch_text, whole_seconds
from quill_models.values.conversion import choice, exact_decimal, shown, unicode_text
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import parse_time, time_text

__all__ = [
    "Choice",
    "Document",
    "Expiry",
    "FieldOptions",
    "FilledDocument",
    "FilledInstant",
    "FilledText",
    "FilledTextMap",
    "Instant",
    "Number",
    "OptionalDocument",
    "OptionalInstant",
    "OptionalNumber",
    "OptionalText",
    "Required",
    "StrictAttribute",
    "Text",
    "TextMap",
    "Whole",
    "empty",
    "field",
]

T = TypeVar("T")
G = TypeVar("G")
E = TypeVar("E", bound=StrEnum)
A = TypeVar("A", bound="StrictAttribute[Any, Any]")


class Required:
    """The default of a required field."""


@dataclass(frozen=True)
class FieldOptions:
    """The options of a field; see `field`."""

    default: Any = Required
    default_factory: Callable[[dict[str, Any]], Any] | None = None
    init: bool = True
    export: bool = True
    partition: bool = False
    version: bool = False

    @property
    def is_required(self) -> bool:
        """Whether the constructor requires the field."""
        return self.default is Required and self.default_factory is None

    @property
    def shown_default(self) -> Any:
        """The default in the constructor's signature."""
        if self.default is not Required:
            return self.default
        return inspect.Parameter.empty if self.default_factory is None else None


class StrictAttribute(Attribute[T], Generic[T, G]):
    """An attribute that accepts a ``G``, and converts it to its canonical form, a ``T``.

    Attributes:
        options: The options of the field.
    """

    _takes: Any = Any
    options = FieldOptions()

    @property
    def takes(self) -> Any:
        """The type that the constructor accepts."""
        optional = self.null or self.options.default_factory is not None
        return self._takes | None if optional else self._takes

    # PynamoDB's type accepts None for every attribute, and only the type that it returns.
    def __set__(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        instance: Any,
        value: G,
    ) -> None:
        if value is None and not self.null:
            raise InvalidValue(f"{type(instance).__name__} requires {self.attr_name}. Set it.")
        super().__set__(instance, None if value is None else self.check(value))

    def check(self, value: Any) -> T:
        """Return the canonical form of ``value``, or raise `InvalidValue`."""
        raise NotImplementedError


def empty(_fields: dict[str, Any]) -> dict[str, Any]:
    """Return the default of a map or document."""
    return {}


@overload
def field(
    attribute: StrictAttribute[T, G],
    *,
    default: None,
    init: bool = ...,
    export: bool = ...,
    version: bool = ...,
) -> StrictAttribute[T | None, G | None]: ...
@overload
def field(
    attribute: StrictAttribute[T, G], *, default_factory: Callable[[dict[str, Any]], Any]
) -> StrictAttribute[T, G | None]: ...
@overload
def field(attribute: A, *, default: Any = ..., partition: bool = ...) -> A: ...
def field(attribute: Any, *, default: Any = Required, **options: Any) -> Any:
    """Declare a field of a model.

    Args:
        attribute: The type, which checks, stores and reads the field.
        default: The default value. ``None`` also lets the field be absent.
        options: ``default_factory`` returns the default from the other fields, by name.
            ``init=False`` removes the field from the constructor, ``export=False`` from the star
            schema. ``partition=True`` marks the time whose day a row belongs to, ``version=True``
            the time by which an older item is stale.
    """
    if default is None:
        attribute.null = True
    attribute.options = FieldOptions(default, **options)
    return attribute


class Text(StrictAttribute[str, str]):
    """Text of at least one character that UTF-8 can encode."""

    _takes = str
    attr_type = STRING

    def check(self, value: Any) -> str:
        """See `StrictAttribute.check`."""
        if not isinstance(value, str):
            raise InvalidValue(f"{self.attr_name} must be text, got {shown(value)}")
        if not value:
            raise InvalidValue(f"{self.attr_name} must not be empty. Leave it out instead.")
        return unicode_text(value, self.attr_name)


class Instant(StrictAttribute[datetime, datetime]):
    """An aware time in UTC with microseconds, stored as sortable text."""

    _takes = datetime
    attr_type = STRING

    def check(self, value: Any) -> datetime:
        """See `StrictAttribute.check`."""
        return aware_utc(value, self.attr_name)

    def serialize(self, value: datetime) -> str:
        """Return the `time_text`."""
        return time_text(value)

    def deserialize(self, value: str) -> datetime:
        """Return the time of a stored text."""
        return parse_time(value)


class Number(StrictAttribute[Decimal, Decimal | float]):
    """An exact decimal of up to 38 digits. A float is converted by its decimal text."""

    _takes = Decimal | float
    attr_type = NUMBER

    def check(self, value: Any) -> Decimal:
        """See `StrictAttribute.check`."""
        return exact_decimal(value, self.attr_name)

    def serialize(self, value: Decimal) -> str:
        """Return the number in the wire format."""
        return str(value)

    def deserialize(self, value: str) -> Decimal:
        """Return the exact number."""
        return Decimal(value)


class Whole(StrictAttribute[int, int], IntegerAttribute):
    """A whole number."""

    _takes = int

    def check(self, value: Any) -> int:
        """See `StrictAttribute.check`."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidValue(f"{self.attr_name} must be a whole number, got {shown(value)}")
        exact_decimal(value, self.attr_name)
        return value


class Choice(StrictAttribute[E, E | str], UnicodeEnumAttribute[E]):
    """A value of an enumeration, assigned as a member or as its text."""

    def __init__(self, enum_type: type[E], **options: Any) -> None:
        super().__init__(enum_type, **options)
        self._takes = enum_type | str
        # Takes a quarter of the time of calling the enumeration.
        self._members = {member.value: member for member in enum_type}

    def deserialize(self, value: str) -> E:
        """Return the member of a text."""
        return self._members[value]

    def check(self, value: Any) -> E:
        """See `StrictAttribute.check`."""
        return choice(self.enum_type, value, self.attr_name)


class TextMap(StrictAttribute[dict[str, str], Mapping[str, str]]):
    """A mapping of text to text, stored as a DynamoDB map. Copied on assignment."""

    _takes = Mapping[str, str]
    attr_type = MAP

    def check(self, value: Any) -> dict[str, str]:
        """See `StrictAttribute.check`."""
        if not isinstance(value, Mapping):
            raise InvalidValue(f"{self.attr_name} must be a mapping, got {shown(value)}")
        for name, text in value.items():
            if not (isinstance(name, str) and name and isinstance(text, str) and text):
                raise InvalidValue(
                    f"{self.attr_name} must map text to text, neither of them empty, got "
                    f"{shown(name)} and {shown(text)}"
                )
        what = f"a name or a text of {self.attr_name}"
        return {unicode_text(name, what): unicode_text(text, what) for name, text in value.items()}

    def serialize(self, value: dict[str, str]) -> dict[str, dict[str, str]]:
        """Return a map of ``S`` values."""
        return {name: {"S": text} for name, text in value.items()}

    def deserialize(self, value: dict[str, dict[str, str]]) -> dict[str, str]:
        """Return the texts by name."""
        return {name: text["S"] for name, text in value.items()}


class Document(StrictAttribute[dict[str, Any], Mapping[str, Any]]):
    """A JSON object, stored as canonical JSON text.

    Unlike a DynamoDB map, text keeps all data of a source unchanged: numbers of more than 38
    digits, more than 32 levels, and text with unpaired surrogates. Decimals are exact. Floats are
    converted by their decimal text.
    """

    _takes = Mapping[str, Any]
    attr_type = STRING

    def check(self, value: Any) -> dict[str, Any]:
        """See `StrictAttribute.check`."""
        if not isinstance(value, Mapping):
            raise InvalidValue(f"{self.attr_name} must be a mapping, got {shown(value)}")
        # Parsed from its text: an independent copy, equal to the result of a read.
        try:
            return self.deserialize(canonical_json(value, self.attr_name))
        except InvalidValue:
            raise
        except (ValueError, RecursionError) as error:
            raise InvalidValue(f"{self.attr_name} cannot be parsed again: {error}") from error

    def serialize(self, value: dict[str, Any]) -> str:
        """Return canonical JSON."""
        return canonical_json(value, self.attr_name)

    def deserialize(self, value: str) -> dict[str, Any]:
        """Return the document, with decimals for numbers that have a fraction."""
        return cast("dict[str, Any]", _DECODER.decode(value))


class Expiry(StrictAttribute[datetime, datetime], TTLAttribute):
    """When the item expires, in whole epoch seconds. Absent if it never expires."""

    def check(self, value: Any) -> datetime:
        """See `StrictAttribute.check`."""
        return whole_seconds(aware_utc(value, self.attr_name), self.attr_name)

    def serialize(self, value: datetime) -> str:
        """Return the seconds since 1970."""
        return epoch_text(value)


_DECODER = simplejson.JSONDecoder(parse_float=Decimal)


# The declared types of fields. A filled field can be left out, but always has a value.
OptionalText = StrictAttribute[str | None, str | None]
OptionalInstant = StrictAttribute[datetime | None, datetime | None]
OptionalNumber = StrictAttribute[Decimal | None, Decimal | float | None]
OptionalDocument = StrictAttribute[dict[str, Any] | None, Mapping[str, Any] | None]
FilledText = StrictAttribute[str, str | None]
FilledInstant = StrictAttribute[datetime, datetime | None]
FilledDocument = StrictAttribute[dict[str, Any], Mapping[str, Any] | None]
FilledTextMap = StrictAttribute[dict[str, str], Mapping[str, str] | None]
