"""The file formats, read back by several readers."""

from __future__ import annotations

import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models.errors import ExportFailed
from quill_models.export import TABLES, Format, writers
from quill_models.export.writers import writer
from quill_models.models import QuillModel
from quill_models.models.star_schema import Row
from tests.unit.examples import EXAMPLES, KINDS, NOON, metric, webhook_event
from tests.unit.strategies import MODELS

from .readers import ALL_READERS, FORMATS, READERS, TABLE_OF, expected


def rows_of(models: list[QuillModel]) -> list[Row]:
    return [TABLE_OF[model.KIND].row(model.to_item(4)) for model in models]


def stored(model: QuillModel) -> QuillModel:
    model.created_at = model.updated_at = NOON
    return model


def check_reads_back(file_format: Format, models: list[QuillModel]) -> None:
    table = TABLE_OF[models[0].KIND]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{file_format}"
        writer(file_format)(path, table, iter([rows_of(models)]))
        for name, read in READERS.items():
            assert read(path, table) == [expected(model) for model in models], name


@FORMATS
@KINDS
@settings(max_examples=10)
@given(data=st.data())
def test_writer_any_model_reads_back_equal(
    kind: str, file_format: Format, data: st.DataObject
) -> None:
    models = data.draw(st.lists(MODELS[kind], min_size=1, max_size=3))
    check_reads_back(file_format, [stored(each) for each in models])


@FORMATS
def test_writer_special_text_reads_back_equal(file_format: Format) -> None:
    texts = ["NULL", "NA", "nan", "null", "None", "true", "12", "1e5", "2031-05-17", '"', '""']
    texts += ["a,b\r\nc", "\r", "\n", " a ", "\t", "'", "\\N", "\\", "=1+1", "ü🦜\u2028", "\ufeff"]
    texts.append("x" * 70_000)
    check_reads_back(
        file_format, [stored(webhook_event(event_type=text, last_error=text)) for text in texts]
    )


@FORMATS
def test_writer_38_digits_are_rounded_or_null(file_format: Format) -> None:
    largest = "9" * 29 + "." + "9" * 9
    stored_values = {
        "9" * 38: None,
        largest: largest,
        "-0." + "0" * 8 + "1": "-1E-9",
        "0." + "0" * 8 + "15": "2E-9",
        "0." + "0" * 8 + "25": "2E-9",
        "1E-130": "0",
        "9.9999999999999999999999999999999999999E+125": None,
        "0.1000000000000000055511151231257827021": "0.1",
    }
    models: list[QuillModel] = [stored(metric(value=Decimal(value))) for value in stored_values]
    assert [expected(model)["value"] for model in models] == [
        None if each is None else Decimal(each) for each in stored_values.values()
    ]
    check_reads_back(file_format, models)


@ALL_READERS
@FORMATS
@pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])
def test_writer_no_rows_writes_columns(
    table: Any, file_format: Format, reader: str, tmp_path: Path
) -> None:
    path = tmp_path / f"empty.{file_format}"
    writer(file_format)(path, table, iter(()))
    assert READERS[reader](path, table) == []
    names = [column.name for column in table.columns]
    if file_format is Format.CSV:
        assert path.read_bytes().decode() == ",".join(names) + "\r\n"
    # An empty JSON Lines file has no columns. They are in the manifest.
    assert (path.stat().st_size == 0) is (file_format is Format.JSONL)


@FORMATS
def test_writer_batches_are_written_in_order(file_format: Format, tmp_path: Path) -> None:
    table = TABLE_OF["metric"]
    models: list[QuillModel] = [stored(metric(value=number)) for number in range(5)]
    rows = rows_of(models)
    path = tmp_path / f"x.{file_format}"
    writer(file_format)(path, table, iter([rows[:2], rows[2:3], rows[3:]]))
    assert READERS["pyarrow"](path, table) == [expected(model) for model in models]


@pytest.mark.parametrize(
    ("limits", "groups"),
    [({"_GROUP_ROWS": 3}, [3, 2]), ({"_GROUP_BYTES": 1}, [2, 1, 2]), ({}, [5])],
)
def test_writer_parquet_row_groups_are_bounded(
    limits: dict[str, int], groups: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(writers, name, value)
    rows = rows_of([stored(metric(value=number)) for number in range(5)])
    path = tmp_path / "x.parquet"
    writer(Format.PARQUET)(path, TABLE_OF["metric"], iter([rows[:2], rows[2:3], rows[3:]]))
    found = pq.ParquetFile(path).metadata
    assert [found.row_group(at).num_rows for at in range(found.num_row_groups)] == groups


def test_examples_cover_every_kind() -> None:
    assert TABLE_OF.keys() == EXAMPLES.keys() == MODELS.keys()


def test_writer_without_pyarrow_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ExportFailed, match=r"pip install 'quill-models\[export\]'.*csv or jsonl"):
        writer(Format.PARQUET)
    for other in (Format.CSV, Format.JSONL):
        writer(other)
