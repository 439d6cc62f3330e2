"""Checks of single values, each with an error that names the value."""

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
    """The member of an enumeration, given as the member or as its text.

    Raises:
        InvalidValue: names what is allowed.
    """
    try:
        return enum_type(value)
    except ValueError:
        allowed = ", ".join(repr(member.value) for member in enum_type)
        raise InvalidValue(f"{what} is {value!r}; allowed are {allowed}") from None


def exact_decimal(value: Any, what: str) -> Decimal:
    """The value as a decimal that DynamoDB stores without loss.

    Args:
        value: a `Decimal`, an `int`, or a `float` (taken as ``str`` shows it).
        what: the name of the value, for the message.

    Raises:
        InvalidValue: NaN, infinite, more than 38 digits, or no number.
    """
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, float)):
        raise InvalidValue(f"{what} must be a number, not {shown(value)}")
    try:
        number = _NUMBERS.create_decimal(str(value) if isinstance(value, float) else value)
    except _INEXACT:
        number = Decimal("NaN")
    if not number.is_finite():
        raise InvalidValue(
            f"{what} is {_text(value)}; DynamoDB stores finite numbers of up to 38 digits "
            "between 1E-130 and 9.9E+125"
        )
    return number


def unicode_text(text: str, what: str) -> str:
    """The text as plain ``str``, which a member of an enumeration is not.

    Raises:
        InvalidValue: UTF-8 cannot encode it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{what} is no valid Unicode text: {text[:60]!r}") from None
    return str.__str__(text)


def shown(value: Any) -> str:
    """The type and the text of a value, for a message: short, whatever the value is."""
    return f"{type(value).__name__}: {_text(value)!r}"


def _text(value: Any) -> str:
    try:
        return str(value)[:60]
    except ValueError:
        # Python shows no whole number of more than 4,300 digits.
        return "a very long number"
