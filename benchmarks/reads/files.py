"""Writing the lists to a Parquet file, as a user of each alternative would do it.

The alternatives write one file in the order of reading. `quill_models.export` does more: it scans
the complete table, sorts it, writes a file for each day, and renames all files at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from quill_models import Settings, connect
from quill_models.export import export_files

__all__ = ["ROWS_OF", "export_interactions", "write_rows"]

Row = dict[str, Any]

_TEXTS = (
    "interaction_id",
    "source",
    "external_id",
    "agent_id",
    "contact_id",
    "channel",
    "direction",
    "outcome",
    "subject",
    "attributes",
)
_TIMES = ("started_at", "ended_at")
_NUMBER = "duration_seconds"
_COLUMNS = (*_TEXTS, *_TIMES, _NUMBER)
_BATCH = 10_000


def export_interactions(settings: Settings, folder: Path) -> int:
    """Export the interactions with this package, and return their number."""
    with connect(settings) as quill:
        return export_files(quill, folder, kinds=["interaction"]).rows["fact_interaction"]


def write_rows(rows: Iterator[Row], path: Path) -> int:
    """Write rows to a file, and return their number."""
    import pyarrow as pa  # noqa: PLC0415 -- only a run that writes must pay for its memory
    from pyarrow import parquet  # noqa: PLC0415 -- as above

    schema = pa.schema(
        [
            *((name, pa.string()) for name in _TEXTS),
            *((name, pa.timestamp("us", tz="UTC")) for name in _TIMES),
            (_NUMBER, pa.float64()),
        ]
    )
    number = 0
    with parquet.ParquetWriter(path, schema) as file:
        while batch := list(islice(rows, _BATCH)):
            file.write_batch(pa.RecordBatch.from_pylist(batch, schema))
            number += len(batch)
    return number


def _rows_of_models(items: Iterable[Any]) -> Iterator[Row]:
    for item in items:
        row = {name: getattr(item, name) for name in _COLUMNS}
        row[_NUMBER] = None if row[_NUMBER] is None else float(row[_NUMBER])
        row["attributes"] = _text(row["attributes"])
        yield row


def _rows_of_values(items: Iterable[dict[str, Any]]) -> Iterator[Row]:
    for item in items:
        row: Row = {name: item.get(name) for name in _COLUMNS}
        for name in _TIMES:
            if row[name] is not None:
                row[name] = datetime.fromisoformat(row[name])
        row[_NUMBER] = None if row[_NUMBER] is None else float(row[_NUMBER])
        row["attributes"] = _text(row["attributes"])
        yield row


def _rows_of_wire_format(items: Iterable[dict[str, Any]]) -> Iterator[Row]:
    from boto3.dynamodb.types import TypeDeserializer  # noqa: PLC0415 -- of the extra bench

    value = TypeDeserializer().deserialize
    return _rows_of_values({name: value(item[name]) for name in item} for item in items)


def _rows_of_json(items: Iterable[dict[str, Any]]) -> Iterator[Row]:
    return _rows_of_values(
        {name: next(iter(item[name].values())) for name in _COLUMNS if name in item}
        for item in items
    )


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


# Functions that convert the items of each contender to rows. This package exports directly.
ROWS_OF: dict[str, Callable[[Iterable[Any]], Iterator[Row]]] = {
    "pynamodb": _rows_of_models,
    "pynamodb-pages": _rows_of_models,
    "boto3-resource": _rows_of_values,
    "boto3-client": _rows_of_wire_format,
    "pydynantic": _rows_of_models,
    "bare-http": _rows_of_json,
}
