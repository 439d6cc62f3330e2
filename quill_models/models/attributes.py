"""Attribute types that are strict when a value is set, not when the server refuses it.

Each turns what it is given into one canonical Python value, or raises `InvalidValue` naming the
field. What is stored is plain DynamoDB: text, numbers, a map of text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

import simplejson
from pynamodb.attributes import Attribute, TTLAttribute
from pynamodb.constants import MAP, NUMBER, STRING
from pynamodb_attributes import IntegerAttribute, UnicodeEnumAttribute

from quill_models.values.canonical import canonical_json
from quill_models.values.checks import choice, exact_decimal, shown
from quill_models.values.clock import aware_utc, epoch_seconds
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import parse_time, time_text

__all__ = [
    "Choice",
    "Document",
    "Expiry",
    "Instant",
    "Number",
    "StrictAttribute",
    "Text",
    "TextMap",
    "Whole",
    "optional",
]

T = TypeVar("T")
G = TypeVar("G")
E = TypeVar("E", bound=StrEnum)


class StrictAttribute(Attribute[T], Generic[T, G]):
    """Checks and canonicalises on assignment: takes a ``G`` and reads as a ``T``."""

    # PynamoDB takes None for every attribute, and nothing but what it gives back.
    def __set__(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        instance: Any,
        value: G,
    ) -> None:
        if value is None and not self.null:
            raise InvalidValue(f"{type(instance).__name__} needs {self.attr_name}")
        super().__set__(instance, None if value is None else self.check(value))

    def check(self, value: Any) -> T:
        """The canonical form of ``value``; raises `InvalidValue` where there is none."""
        raise NotImplementedError


def optional(attribute: StrictAttribute[T, G]) -> StrictAttribute[T | None, G | None]:
    """The same attribute, which may be absent; absent reads as ``None``."""
    attribute.null = True
    return cast("StrictAttribute[T | None, G | None]", attribute)


class Text(StrictAttribute[str, str]):
    """Text of at least one character that UTF-8 can encode."""

    attr_type = STRING

    def check(self, value: Any) -> str:
        """See `StrictAttribute.check`."""
        if not isinstance(value, str):
            raise InvalidValue(f"{self.attr_name} must be text, not {shown(value)}")
        if not value:
            raise InvalidValue(f"{self.attr_name} must not be empty; leave it out instead")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue(
                f"{self.attr_name} is no valid Unicode text: {value[:60]!r}"
            ) from None
        # A StrEnum member is text too; stored and compared as the plain text it stands for.
        return str.__str__(value)


class Instant(StrictAttribute[datetime, datetime]):
    """An aware time, kept as UTC with microseconds, stored as text that sorts."""

    attr_type = STRING

    def check(self, value: Any) -> datetime:
        """See `StrictAttribute.check`."""
        return aware_utc(value, self.attr_name)

    def serialize(self, value: datetime) -> str:
        """As `time_text`."""
        return time_text(value)

    def deserialize(self, value: str) -> datetime:
        """As `parse_time`."""
        return parse_time(value)


class Number(StrictAttribute[Decimal, Decimal | float]):
    """An exact decimal of up to 38 digits. A float is taken as the text Python shows of it."""

    attr_type = NUMBER

    def check(self, value: Any) -> Decimal:
        """See `StrictAttribute.check`."""
        return exact_decimal(value, self.attr_name)

    def serialize(self, value: Decimal) -> str:
        """The number as text, as DynamoDB's wire format has it."""
        return str(value)

    def deserialize(self, value: str) -> Decimal:
        """The number, exactly."""
        return Decimal(value)


class Whole(StrictAttribute[int, int], IntegerAttribute):
    """A whole number."""

    def check(self, value: Any) -> int:
        """See `StrictAttribute.check`."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidValue(f"{self.attr_name} must be a whole number, not {shown(value)}")
        exact_decimal(value, self.attr_name)
        return value


class Choice(StrictAttribute[E, E | str], UnicodeEnumAttribute[E]):
    """One of the values of an enumeration, given as the member or as its text."""

    def __init__(self, enum_type: type[E], **options: Any) -> None:
        super().__init__(enum_type, **options)
        # Looking one up is a quarter of what calling the enumeration takes.
        self._members = {member.value: member for member in enum_type}

    def deserialize(self, value: str) -> E:
        """The member of a text."""
        return self._members[value]

    def check(self, value: Any) -> E:
        """See `StrictAttribute.check`."""
        return choice(self.enum_type, value, self.attr_name)


class TextMap(StrictAttribute[dict[str, str], Mapping[str, str]]):
    """Names and texts, stored as a DynamoDB map. Copied when set."""

    attr_type = MAP

    def check(self, value: Any) -> dict[str, str]:
        """See `StrictAttribute.check`."""
        if not isinstance(value, Mapping):
            raise InvalidValue(f"{self.attr_name} must be a mapping, not {shown(value)}")
        for name, text in value.items():
            if not (isinstance(name, str) and name and isinstance(text, str) and text):
                raise InvalidValue(
                    f"{self.attr_name} must map text to text, neither empty: {name!r}: {text!r}"
                )
            try:
                (name + text).encode()
            except UnicodeEncodeError:
                raise InvalidValue(
                    f"{self.attr_name} has no valid Unicode text: {name!r}: {text!r}"
                ) from None
        return {str.__str__(name): str.__str__(text) for name, text in value.items()}

    def serialize(self, value: dict[str, str]) -> dict[str, dict[str, str]]:
        """As a map of ``S`` values."""
        return {name: {"S": text} for name, text in value.items()}

    def deserialize(self, value: dict[str, dict[str, str]]) -> dict[str, str]:
        """The texts by name."""
        return {name: text["S"] for name, text in value.items()}


class Document(StrictAttribute[dict[str, Any], Mapping[str, Any]]):
    """A document of any JSON shape, stored as canonical JSON text.

    Text rather than a DynamoDB map, so that whatever a source sends survives unchanged: numbers
    of more than 38 digits, more than 32 levels, text with unpaired surrogates. Decimals are
    kept exactly; floats are taken as the text Python shows of them.
    """

    attr_type = STRING

    def check(self, value: Any) -> dict[str, Any]:
        """See `StrictAttribute.check`."""
        if not isinstance(value, Mapping):
            raise InvalidValue(f"{self.attr_name} must be a mapping, not {shown(value)}")
        # Read back from its own text: a copy that the caller cannot change, equal to what a
        # read from the table gives.
        try:
            return self.deserialize(canonical_json(value, self.attr_name))
        except InvalidValue:
            raise
        except (ValueError, RecursionError) as error:
            raise InvalidValue(f"{self.attr_name} cannot be read back: {error}") from error

    def serialize(self, value: dict[str, Any]) -> str:
        """As canonical JSON."""
        return canonical_json(value, self.attr_name)

    def deserialize(self, value: str) -> dict[str, Any]:
        """The document, with decimals for numbers that have a fraction."""
        return cast("dict[str, Any]", _DECODER.decode(value))


class Expiry(StrictAttribute[datetime, datetime], TTLAttribute):
    """When DynamoDB may delete the item, in whole epoch seconds; absent means never."""

    def check(self, value: Any) -> datetime:
        """See `StrictAttribute.check`."""
        seconds = epoch_seconds(aware_utc(value, self.attr_name))
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError):
            raise InvalidValue(f"{self.attr_name} is beyond the year 9999") from None

    def serialize(self, value: datetime) -> str:
        """As whole seconds since 1970."""
        return str(epoch_seconds(value))


_DECODER = simplejson.JSONDecoder(parse_float=Decimal)
