"""Writers of rows as Parquet, CSV or JSON Lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quill_models.models.star_schema import DECIMAL_PLACES, DECIMAL_PRECISION, Row, StarTable, Type
from quill_models.values.errors import ExportFailed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FileWriter", "Format", "writer"]

FileWriter = Callable[[Path, StarTable, Iterable[list[Row]]], None]
"""Writes one file of a table from batches of its rows."""

# Memory of each column for a page, and for the values of its dictionary.
_PAGE_BYTES = 64 * 1024
# Maximum of a row group. Its compression takes about four times its size in memory, so rows with
# long documents are limited by bytes.
_GROUP_ROWS, _GROUP_BYTES = 65_536, 2 * 1024 * 1024


class Format(StrEnum):
    """The file formats."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


def writer(file_format: Format) -> FileWriter:
    """Return the writer of a format.

    Raises:
        ExportFailed: The package for Parquet is not installed.
    """
    if file_format is not Format.PARQUET:
        return _write_csv if file_format is Format.CSV else _write_jsonl
    try:
        import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExportFailed(
            f"Parquet needs pyarrow, which cannot be imported ({error}). Install it with "
            "pip install 'quill-models[export]', or choose the format csv or jsonl."
        ) from error
    return _write_parquet


def _write_csv(path: Path, table: StarTable, batches: Iterable[list[Row]]) -> None:
    """Write RFC 4180 in UTF-8 with a header. ``None`` is an empty field."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\r\n")
        rows.writerow([column.name for column in table.columns])
        for batch in batches:
            rows.writerows(batch)


def _write_jsonl(path: Path, table: StarTable, batches: Iterable[list[Row]]) -> None:
    """Write one object per line, with every column. Numbers are exact."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    numbers = {Type.WHOLE, Type.DECIMAL}
    columns = [(encode(each.name), each.type in numbers) for each in table.columns]

    def line(row: Row) -> str:
        members = (
            f"{name}:null" if value is None else f"{name}:{value if is_number else encode(value)}"
            for (name, is_number), value in zip(columns, row, strict=True)
        )
        return "{" + ",".join(members) + "}\n"

    with path.open("w", encoding="utf-8", newline="\n") as file:
        for batch in batches:
            file.writelines(map(line, batch))


def _write_parquet(path: Path, table: StarTable, batches: Iterable[list[Row]]) -> None:
    """Write large row groups, compressed with Snappy, which every reader supports."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {
        Type.TEXT: pa.string(),
        Type.DOCUMENT: pa.string(),
        Type.TIMESTAMP: pa.timestamp("us", tz="UTC"),
        Type.DATE: pa.date32(),
        Type.WHOLE: pa.int64(),
        Type.DECIMAL: pa.decimal128(DECIMAL_PRECISION, DECIMAL_PLACES),
    }
    schema = pa.schema([(column.name, types[column.type]) for column in table.columns])
    with (
        path.open("wb") as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="snappy",
            data_page_size=_PAGE_BYTES,
            dictionary_pagesize_limit=_PAGE_BYTES,
            # Unlike Arrow's own pool, it returns freed memory to the system.
            memory_pool=pa.system_memory_pool(),
            # Dictionaries and statistics of documents are useless to readers.
            use_dictionary=[each.name for each in table.columns if each.type is Type.TEXT],  # pyright: ignore[reportArgumentType]
            write_statistics=[each.name for each in table.columns if each.type != Type.DOCUMENT],  # pyright: ignore[reportArgumentType]
        ) as parquet,
    ):
        for group in _groups(batches, schema):
            parquet.write_table(group)


def _groups(batches: Iterable[list[Row]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Join batches into row groups, as Arrow arrays, which take less memory than Python rows."""
    import pyarrow as pa  # noqa: PLC0415

    pool = pa.system_memory_pool()

    def array(values: Sequence[Any], arrow_type: pa.DataType) -> pa.Array:
        if arrow_type == pa.int64():
            return pa.array(values, arrow_type, memory_pool=pool)
        # Casting text is the fastest way to Arrow's times, days and decimals.
        texts = pa.array(values, pa.string(), memory_pool=pool)
        return texts if arrow_type == pa.string() else texts.cast(arrow_type, memory_pool=pool)

    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        arrays = [
            array(values, field.type)
            for values, field in zip(zip(*batch, strict=True), schema, strict=True)
        ]
        group.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
        rows, size = rows + len(batch), size + group[-1].nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.Table.from_batches(group)
            group, rows, size = [], 0, 0
    if group:
        yield pa.Table.from_batches(group)
