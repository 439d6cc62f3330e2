"""Conversions of single values. Their errors name the value."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Subnormal
from enum import StrEnum
from typing import Any, TypeVar

from quill_models.values.errors import InvalidValue

__all__ = ["choice", "exact_decimal", "shown", "unicode_text"]

E = TypeVar("E", bound=StrEnum)


# DynamoDB numbers have 38 digits and exponents from -130 to 125:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_INEXACT = (Inexact, Overflow, InvalidOperation, Subnormal)
_NUMBERS = Context(prec=38, Emin=-130, Emax=125, traps=[*_INEXACT])


def choice(enum_type: type[E], value: E | str, what: str) -> E:
    """Return a member of an enumeration, from the member or its text.

    Raises:
        InvalidValue: The value is not a member. The message lists the allowed values.
    """
    try:
        return enum_type(value)
    except ValueError:
        allowed = ", ".join(member.value for member in enum_type)
        raise InvalidValue(f"{what} must be one of {allowed}, got {shown(value)}") from None


def exact_decimal(value: Any, what: str) -> Decimal:
    """Return a value as a decimal that DynamoDB stores without loss.

    Args:
        value: A `Decimal`, an `int`, or a `float`, which is converted by its decimal text.
        what: The name of the value, for the message.

    Raises:
        InvalidValue: The value is not a number, is not finite, or has more than 38 digits.
    """
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, float)):
        raise InvalidValue(f"{what} must be a number, got {shown(value)}")
    try:
        number = _NUMBERS.create_decimal(str(value) if isinstance(value, float) else value)
    except _INEXACT:
        number = Decimal("NaN")
    if not number.is_finite():
        raise InvalidValue(
            f"{what} must be a finite number of up to 38 digits between 1E-130 and 9.9E+125, "
            f"got {_text(value)}"
        )
    return number


def unicode_text(text: str, what: str) -> str:
    """Return a text as plain ``str``, also if it is a member of an enumeration.

    Raises:
        InvalidValue: UTF-8 cannot encode the text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{what} is not valid Unicode: {text[:60]!r}") from None
    return str.__str__(text)


def shown(value: Any) -> str:
    """Return the shortened text of any value for a message, with the type if it is not text."""
    return repr(value[:60]) if isinstance(value, str) else f"{type(value).__name__} {_text(value)}"


def _text(value: Any) -> str:
    try:
        return str(value)[:60]
    except ValueError:
        # Python does not convert integers of more than 4,300 digits.
        return "a very long number"
