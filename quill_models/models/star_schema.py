"""The star schema: its tables, their columns, and the conversion of stored items to rows.

The columns are declared as data, so that they never depend on the rows of a file. Rows come
directly from the wire format, because stored values were checked when they were written, and times,
numbers and documents are already text.
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

# Incremented with each change of a table or column. Files of two versions are not compatible.
SCHEMA_VERSION = 1

# The decimals of Parquet, DuckDB and pyarrow: 29 digits before the point and 9 after it.
DECIMAL_PRECISION, DECIMAL_PLACES = 38, 9

# A value for each column: text, a whole number, or None.
Row = tuple[str | int | None, ...]


class Type(StrEnum):
    """The type of a column, the same in every format.

    A document is the stored JSON text. A timestamp is in UTC with microseconds. A whole number has
    64 bits, a decimal 29 digits before the point and 9 after it.
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
# Most numbers need no rounding, and are written unchanged.
_FITS = re.compile(r"-?(0|[1-9][0-9]{0,28})(\.[0-9]{0,8}[1-9])?")
_WHOLE, _WHOLE_DIGITS = range(-(2**63), 2**63), 19


def fixed_decimal(text: str) -> str | None:
    """Return a stored number for a decimal column.

    DynamoDB numbers have 38 digits at any position. More than nine digits after the point are
    rounded half to even. A number of more than 29 digits before the point is ``None``.
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
        # Another format of a time, which does not sort with the others.
        raise ValueError(f"{text!r} is not of the form 2031-05-17T12:00:00.000000Z")
    return text


def _whole(text: str) -> int | None:
    exact = Decimal(text)
    if exact.adjusted() >= _WHOLE_DIGITS:
        # As an integer it could have any number of zeros.
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
        name: Name in the file.
        type: Type of the values.
        attribute: Attribute of the stored item.
        stored_as: DynamoDB type of the attribute.
        take: Conversion of the stored value; ``None`` if it is used unchanged.
    """

    name: str
    type: Type
    attribute: str
    stored_as: str = "S"
    take: Callable[[Any], str | int | None] | None = None


@dataclass(frozen=True)
class StarTable:
    """One table of the star schema.

    Attributes:
        name: Name of the table and of its folder.
        kind: Kind of the items.
        columns: Columns in order.
        partition: Column with the time whose day selects the file of a row. ``None`` if the table
            is one file.
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
        """Return the row of a stored item.

        Raises:
            InvalidValue: A value is not of the type of its column, because another program wrote
                it.
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
                    # Files cannot contain unpaired surrogates.
                    if not is_whole and value is not None and not value.isascii():
                        value.encode()
                values.append(value)
        except (ValueError, TypeError, KeyError, ArithmeticError, AttributeError) as error:
            raise InvalidValue(
                f"{self.kind} {item.get('pk', {}).get('S')} has an invalid {name}, so it cannot be "
                f"exported ({type(error).__name__}: {error}). Fix the item, or delete it."
            ) from error
        return tuple(values)

    def time(self, item: RawItem) -> str:
        """Return the time whose day selects the file of a row, or "" if the table is one file.

        Raises:
            InvalidValue: The item has no such time.
        """
        if self.partition is None:
            return ""
        stored: str | None = item.get(self.partition, {}).get("S")
        if stored is None:
            raise InvalidValue(
                f"{self.kind} {item.get('pk', {}).get('S')} has no {self.partition}, so it cannot "
                f"be exported by day. Set {self.partition}, or delete the item."
            )
        return stored

    def position(self, name: str) -> int:
        """Return the position of a column in a row."""
        return [column.name for column in self.columns].index(name)


def _columns(name: str, attribute: StrictAttribute[Any, Any]) -> tuple[Column, ...]:
    """Return the columns of a field."""
    match attribute:
        case Number():
            return (
                Column(name, Type.DECIMAL, name, "N", fixed_decimal),
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
    """Return the id in a metric's scope, which relates it to the agents."""
    return scope.removeprefix(prefix) if scope.startswith(prefix) else None


_BESIDE: dict[tuple[str, str], tuple[Column, ...]] = {
    ("metric", "scope"): (
        Column("agent_id", Type.TEXT, "scope", take=lambda scope: _of_scope(scope, "agent:")),
        Column("team", Type.TEXT, "scope", take=lambda scope: _of_scope(scope, "team:")),
    ),
    # Stored only as the key of the work list, so absent if the event is finished.
    ("webhook_event", "last_error"): (
        Column("due_at", Type.TIMESTAMP, "gsi2sk", take=_checked_time),
    ),
}


def _table(model: type[QuillModel]) -> StarTable:
    """Return the table of a model: a fact if it has a day, else a dimension."""
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
