"""The star schema: its tables, their columns, and how each value is taken from a stored item.

It is declared once, as data, so that the columns of a file never depend on the rows in it. Rows
are made of items in DynamoDB's wire format, past the models: what is stored was checked when it
was written, and times, numbers and documents stand in it as the text that files want.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from typing import Any

from quill_models.dynamodb.items import RawItem
from quill_models.models.attributes import (
    Document,
    Instant,
    Number,
    StrictAttribute,
    TextMap,
    Whole,
)
from quill_models.models.base import QuillModel
from quill_models.models.registry import MODELS
from quill_models.values.canonical import canonical_json
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import parse_time

__all__ = [
    "DECIMAL_PLACES",
    "DECIMAL_PRECISION",
    "SCHEMA_VERSION",
    "TABLES",
    "Column",
    "Row",
    "StarTable",
    "Type",
    "fixed_decimal",
]

# Grows with each change of a table or column: files of two versions do not go together.
SCHEMA_VERSION = 1

# What Parquet's decimals, DuckDB and pyarrow hold: 29 digits before the point and 9 after it.
DECIMAL_PRECISION, DECIMAL_PLACES = 38, 9

# A value for each column: text, a whole number, or nothing.
Row = tuple[str | int | None, ...]


class Type(StrEnum):
    """What a column holds, the same in every format.

    A document is JSON text as it is stored, a timestamp is in UTC and has microseconds, a whole
    number has 64 bits, a decimal 29 digits before the point and 9 after it.
    """

    TEXT = "text"
    DOCUMENT = "document"
    TIMESTAMP = "timestamp"
    DATE = "date"
    WHOLE = "whole"
    DECIMAL = "decimal"


_STEP = Decimal(1).scaleb(-DECIMAL_PLACES)
_TOO_LARGE = Decimal(1).scaleb(DECIMAL_PRECISION - DECIMAL_PLACES)
_WIDE = Context(prec=300, rounding=ROUND_HALF_EVEN)
# Most numbers: nothing is to be rounded, and they are written as they are stored.
_FITS = re.compile(r"-?(0|[1-9][0-9]{0,28})(\.[0-9]{0,8}[1-9])?")
_WHOLE, _WHOLE_DIGITS = range(-(2**63), 2**63), 19


def fixed_decimal(text: str) -> str | None:
    """A stored number as a decimal column holds it.

    DynamoDB's numbers have 38 digits at any place. Digits beyond the ninth after the point are
    rounded away, half to even; a number of more than 29 digits before it is ``None``.
    """
    if _FITS.fullmatch(text) is not None and text != "-0":
        return text
    number = _WIDE.quantize(Decimal(text), _STEP)
    if abs(number) >= _TOO_LARGE:
        return None
    shown = format(number, "f").rstrip("0").rstrip(".")
    return "0" if shown in {"-0", ""} else shown


def _checked_time(text: str) -> str:
    parse_time(text)
    if not text[4] == text[7] == "-" or text[10] != "T" or text[19] != ".":
        # Another way to write a time, which does not sort with the others.
        raise ValueError(f"{text!r} is not of the form 2031-05-17T12:00:00.000000Z")
    return text


def _whole(text: str) -> int | None:
    exact = Decimal(text)
    if exact.adjusted() >= _WHOLE_DIGITS:
        # Written out it may have any number of zeros.
        return None
    number = int(exact)
    return number if number in _WHOLE else None


def _texts(stored: RawItem) -> str:
    return canonical_json({name: text["S"] for name, text in stored.items()})


def _day(text: str) -> str:
    return text[:10]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: as it stands in the file.
        type: what it holds.
        attribute: the attribute of the stored item that it is taken from.
        stored_as: that attribute's type in DynamoDB.
        take: what is done with the stored value; ``None`` where it stands as it is.
    """

    name: str
    type: Type
    attribute: str
    stored_as: str = "S"
    take: Callable[[Any], str | int | None] | None = None


@dataclass(frozen=True)
class StarTable:
    """One table of the star.

    Attributes:
        name: also of its folder.
        kind: of the items that are its rows.
        columns: in their order.
        partition: the column with the time that says which day's file a row is in; ``None`` where
            the table is one file.
    """

    name: str
    kind: str
    columns: tuple[Column, ...]
    partition: str | None = None
    _steps: tuple[tuple[str, str, Callable[[Any], str | int | None] | None, bool], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        steps = tuple(
            (each.attribute, each.stored_as, each.take, each.type is Type.WHOLE)
            for each in self.columns
        )
        object.__setattr__(self, "_steps", steps)

    def row(self, item: RawItem) -> Row:
        """The row of a stored item.

        Raises:
            InvalidValue: a value is not of its column's type, which only what was stored past
                this package can be.
        """
        values: list[Any] = []
        name = ""
        try:
            for name, stored_as, take, is_whole in self._steps:
                stored = item.get(name)
                value: Any = None if stored is None else stored.get(stored_as)
                if value is not None:
                    if take is not None:
                        value = take(value)
                    # No file has room for half a character.
                    if not is_whole and value is not None and not value.isascii():
                        value.encode()
                values.append(value)
        except (ValueError, TypeError, KeyError, ArithmeticError, AttributeError) as error:
            raise InvalidValue(
                f"{name} of the item under {item.get('pk', {}).get('S')!r} cannot be exported: "
                f"{error!r}. Mend the item, or delete it."
            ) from error
        return tuple(values)

    def time(self, item: RawItem) -> str:
        """The time that says which day a row belongs to; empty where the table is one file.

        Raises:
            InvalidValue: the item has none.
        """
        if self.partition is None:
            return ""
        stored: str | None = item.get(self.partition, {}).get("S")
        if stored is None:
            raise InvalidValue(
                f"the {self.kind} under {item.get('pk', {}).get('S')!r} has no {self.partition}: "
                "it belongs to no day. Mend the item, or delete it."
            )
        return stored

    def place(self, name: str) -> int:
        """Where a column stands in a row."""
        return [column.name for column in self.columns].index(name)


def _columns(name: str, attribute: StrictAttribute[Any, Any]) -> tuple[Column, ...]:
    """The columns of a field."""
    match attribute:
        case Number():
            return (
                Column(name, Type.DECIMAL, name, "N", fixed_decimal),
                # The text of all of it.
                Column(f"{name}_exact", Type.TEXT, name, "N"),
            )
        case Whole():
            return (Column(name, Type.WHOLE, name, "N", _whole),)
        case Instant():
            return (Column(name, Type.TIMESTAMP, name, take=_checked_time),)
        case Document():
            return (Column(name, Type.DOCUMENT, name),)
        case TextMap():
            return (Column(name, Type.DOCUMENT, name, "M", _texts),)
        case _:
            return (Column(name, Type.TEXT, name),)


def _of_scope(scope: str, prefix: str) -> str | None:
    """What a metric's scope names, so that it can be related to the agents."""
    return scope.removeprefix(prefix) if scope.startswith(prefix) else None


# Columns that are no field of their own, by the field that they follow.
_BESIDE: dict[tuple[str, str], tuple[Column, ...]] = {
    ("metric", "scope"): (
        Column("agent_id", Type.TEXT, "scope", take=lambda scope: _of_scope(scope, "agent:")),
        Column("team", Type.TEXT, "scope", take=lambda scope: _of_scope(scope, "team:")),
    ),
    # Stored once, as the key of the work list; absent if no work is left.
    ("webhook_event", "last_error"): (
        Column("due_at", Type.TIMESTAMP, "gsi2sk", take=_checked_time),
    ),
}


def _table(model: type[QuillModel]) -> StarTable:
    """The table of a model: a fact with a day, or else a dimension."""
    columns: list[Column] = []
    partition = None
    for name, attribute in model.codec().declared.items():
        options = attribute.options
        if options.partition:
            partition = name
        if options.export:
            columns += (*_columns(name, attribute), *_BESIDE.get((model.KIND, name), ()))
    stored = (
        Column(name, Type.TIMESTAMP, name, take=_checked_time)
        for name in ("created_at", "updated_at")
    )
    date = [] if partition is None else [Column("date", Type.DATE, partition, take=_day)]
    name = f"{'dim' if partition is None else 'fact'}_{model.KIND}"
    return StarTable(name, model.KIND, (*date, *columns, *stored), partition)


TABLES = tuple(_table(model) for model in MODELS.values())
