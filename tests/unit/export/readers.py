"""Typed readers of exported files with DuckDB, pandas and pyarrow."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from pyarrow import json as arrow_json

from quill_models.export import TABLES, Format, StarTable, Type
from quill_models.models import Metric, QuillModel, WebhookEvent
from quill_models.values.canonical import canonical_json

Rows = list[dict[str, Any]]

TABLE_OF = {table.kind: table for table in TABLES}
_DERIVED = {"date", "agent_id", "team"}


def expected(model: QuillModel) -> dict[str, Any]:
    """Return the expected row of a model."""
    table = TABLE_OF[model.KIND]
    row = {column.name: _value(model, column.name, column.type) for column in table.columns}
    if table.partition is not None:
        row["date"] = getattr(model, table.partition).date()
    if isinstance(model, WebhookEvent) and "gsi2" in model.lists(1):
        # Queued events are due from their receipt if they have no due_at.
        row["due_at"] = (model.due_at or model.received_at).astimezone(UTC)
    if isinstance(model, Metric):
        kind, _, name = model.scope.partition(":")
        row |= {"agent_id": name if kind == "agent" else None}
        row |= {"team": name if kind == "team" else None}
    return row


def _value(model: QuillModel, name: str, column_type: Type) -> Any:
    if name in _DERIVED and not hasattr(model, name):
        return None
    value = getattr(model, name.removesuffix("_exact"))
    if value is None:
        return None
    if name.endswith("_exact"):
        return str(value)
    if column_type is Type.DECIMAL:
        return rounded(value)
    if column_type is Type.DOCUMENT:
        return model.to_item(4)[name].get("S", canonical_json(value))
    if column_type is Type.TIMESTAMP:
        return value.astimezone(UTC)
    return str(value) if column_type is Type.TEXT else value


def rounded(number: Decimal) -> Decimal | None:
    """Round to nine decimal places, half to even, with integers only."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    integer = int("".join(map(str, digits)))
    shift = exponent + 9
    if shift >= 0:
        scaled = integer * 10**shift
    else:
        scaled, rest = divmod(integer, 10**-shift)
        scaled += 2 * rest > 10**-shift or (2 * rest == 10**-shift and scaled % 2)
    if scaled >= 10**38:
        return None
    return Decimal(f"{'-' if sign and scaled else ''}{scaled}E-9")


# The readers.


def by_duckdb(path: Path, table: StarTable) -> Rows:
    types = {
        Type.TEXT: "VARCHAR",
        Type.DOCUMENT: "VARCHAR",
        Type.TIMESTAMP: "TIMESTAMPTZ",
        Type.DATE: "DATE",
        Type.WHOLE: "BIGINT",
        Type.DECIMAL: "DECIMAL(38, 9)",
    }
    columns = {column.name: types[column.type] for column in table.columns}
    with duckdb.connect(config={"threads": 1}) as connection:
        if path.suffix == ".parquet":
            found = connection.read_parquet(str(path))
        elif path.suffix == ".csv":
            found = connection.sql(
                f"FROM read_csv('{path}', header = true, columns = {columns}, quote = '\"')"
            )
        else:
            found = connection.sql(f"FROM read_json('{path}', format = 'nd', columns = {columns})")
        names = found.columns
        # `fetchall` returns aware datetimes only with the package pytz.
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def by_pandas(path: Path, table: StarTable) -> Rows:
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path, dtype_backend="pyarrow")
        return _plain(frame.to_dict("records"), table)
    if path.suffix == ".csv":
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    else:
        # `pandas.read_json` would convert all numbers to doubles.
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        frame = pd.DataFrame(
            [json.loads(line, parse_float=Decimal) for line in lines], dtype=object
        )
    return _plain(frame.to_dict("records"), table)


def by_pyarrow(path: Path, table: StarTable) -> Rows:
    types = {
        Type.TIMESTAMP: pa.timestamp("us", tz="UTC"),
        Type.DATE: pa.date32(),
        Type.WHOLE: pa.int64(),
        Type.DECIMAL: pa.decimal128(38, 9),
    }
    schema = pa.schema(
        [(column.name, types.get(column.type, pa.string())) for column in table.columns]
    )
    if path.suffix == ".parquet":
        found = parquet.read_table(path)
        assert found.schema == schema
    elif path.suffix == ".csv":
        found = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=schema, null_values=[""], strings_can_be_null=True
            ),
        )
    elif path.stat().st_size == 0:
        # pyarrow raises an error for an empty JSON file.
        found = schema.empty_table()
    else:
        # pyarrow reads times in JSON only by a cast from text.
        texts = pa.schema(
            [
                (field.name, pa.string() if pa.types.is_temporal(field.type) else field.type)
                for field in schema
            ]
        )
        options = arrow_json.ParseOptions(explicit_schema=texts, unexpected_field_behavior="error")
        read = arrow_json.ReadOptions(block_size=2**24)
        found = arrow_json.read_json(path, read_options=read, parse_options=options).cast(schema)
    rows: Rows = found.to_pylist()
    return rows


def _plain(rows: Rows, table: StarTable) -> Rows:
    make: dict[Type, Callable[[Any], Any]] = {
        Type.TIMESTAMP: _datetime,
        Type.DATE: lambda value: date.fromisoformat(str(value)),
        Type.WHOLE: int,
        Type.DECIMAL: Decimal,
    }
    types = {column.name: make.get(column.type, str) for column in table.columns}
    return [
        {name: None if _is_none(value) else types[name](value) for name, value in row.items()}
        for row in rows
    ]


def _is_none(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value  # noqa: PLR0124


def _datetime(value: Any) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    found: datetime = value.to_pydatetime()
    return found


READERS = {"duckdb": by_duckdb, "pandas": by_pandas, "pyarrow": by_pyarrow}
FORMATS = pytest.mark.parametrize("file_format", list(Format))
ALL_READERS = pytest.mark.parametrize("reader", READERS)


def rows_in(out: Path, table: StarTable, reader: str = "pyarrow") -> Rows:
    """Return all rows of an exported table, in the order of its files."""
    return [
        row for file in sorted((out / table.name).iterdir()) for row in READERS[reader](file, table)
    ]
