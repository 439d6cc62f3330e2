"""The same lists written to a Parquet file, as a user of each alternative would do it.

They write one file in the order in which they read. `quill_models.export` reads the whole table,
puts it in order, writes a file for each day with its exact columns, and puts all of it in place at
once: it does more.
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

__all__ = ["ROWS_OF", "exported", "written"]

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


def exported(settings: Settings, folder: Path) -> int:
    """Export the interactions with this package; how many there were."""
    with connect(settings) as quill:
        return export_files(quill, folder, kinds=["interaction"]).rows["fact_interaction"]


def written(rows: Iterator[Row], path: Path) -> int:
    """Write rows to a file; how many there were."""
    import pyarrow as pa  # noqa: PLC0415 -- its memory counts for those who write
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


def _of_models(items: Iterable[Any]) -> Iterator[Row]:
    for item in items:
        row = {name: getattr(item, name) for name in _COLUMNS}
        row[_NUMBER] = None if row[_NUMBER] is None else float(row[_NUMBER])
        row["attributes"] = _text(row["attributes"])
        yield row


def _of_values(items: Iterable[dict[str, Any]]) -> Iterator[Row]:
    for item in items:
        row: Row = {name: item.get(name) for name in _COLUMNS}
        for name in _TIMES:
            if row[name] is not None:
                row[name] = datetime.fromisoformat(row[name])
        row[_NUMBER] = None if row[_NUMBER] is None else float(row[_NUMBER])
        row["attributes"] = _text(row["attributes"])
        yield row


def _of_wire_format(items: Iterable[dict[str, Any]]) -> Iterator[Row]:
    from boto3.dynamodb.types import TypeDeserializer  # noqa: PLC0415 -- of the extra bench

    value = TypeDeserializer().deserialize
    return _of_values({name: value(item[name]) for name in item} for item in items)


def _of_json(items: Iterable[dict[str, Any]]) -> Iterator[Row]:
    return _of_values(
        {name: next(iter(item[name].values())) for name in _COLUMNS if name in item}
        for item in items
    )


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


# What makes rows of a contender's items, by its name. Of this package `exported` does.
ROWS_OF: dict[str, Callable[[Iterable[Any]], Iterator[Row]]] = {
    "pynamodb": _of_models,
    "pynamodb-pages": _of_models,
    "boto3-resource": _of_values,
    "boto3-client": _of_wire_format,
    "pydynantic": _of_models,
    "bare-http": _of_json,
}
