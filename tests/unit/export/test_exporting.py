"""Exports from a DynamoDB export to S3, without a server."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.s3_export import line_of, write_export
from quill_models import Settings, connect
from quill_models.errors import ExportFailed, InvalidValue
from quill_models.export import (
    TABLES,
    Format,
    Progress,
    StarTable,
    export_files,
    export_from_s3,
    exporting,
)
from quill_models.models import QuillModel
from tests.unit.examples import NOON, agent, interaction, job_run, metric, webhook_event

from .folders import contents, exported, files_in, manifest
from .readers import ALL_READERS, FORMATS, TABLE_OF, expected, rows_in

DAY = timedelta(days=1)
MANIFEST = '{"format": "parquet", "schema_version": 1, "sources": [], "tables": %s}'
LOCKING = """
import pathlib, sys
from quill_models.export.commit import open_folder
with open_folder(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    input()
"""


def everything() -> list[QuillModel]:
    """Two days of every fact, and an agent."""
    return [
        agent(),
        interaction(),
        interaction(interaction_id="ü🦜", started_at=NOON + DAY, ended_at=None),
        metric(),
        metric(bucket_start=NOON.replace(hour=0) + DAY, value=-1),
        job_run(),
        job_run(window="2", started_at=NOON + DAY),
        webhook_event(),
        webhook_event(event_key="e2", source="phone", occurred_at=NOON + DAY),
    ]


@ALL_READERS
@FORMATS
def test_export_every_kind_writes_its_table_by_day(
    file_format: Format, reader: str, tmp_path: Path
) -> None:
    models = everything()
    done = exported(tmp_path / "s3", tmp_path / "out", models, format=file_format)
    for table in TABLES:
        rows = rows_in(tmp_path / "out", table, reader)
        assert rows == [expected(each) for each in models if TABLE_OF[each.KIND] is table]
        assert done.rows[table.name] == len(rows)
        days = ["2031-05-17", "2031-05-18"] if table.partition else [table.name]
        assert sorted(path.stem for path in (tmp_path / "out" / table.name).iterdir()) == days


@ALL_READERS
@FORMATS
def test_export_no_rows_writes_columns(file_format: Format, reader: str, tmp_path: Path) -> None:
    done = exported(tmp_path / "s3", tmp_path / "out", [], format=file_format)
    assert files_in(tmp_path / "out") == {
        "manifest.json",
        f"dim_agent/dim_agent.{file_format}",
        *(f"{table.name}/empty.{file_format}" for table in TABLES if table.partition),
    }
    assert all(rows_in(tmp_path / "out", table, reader) == [] for table in TABLES)
    assert set(done.rows.values()) == {0}


def test_export_empty_file_is_replaced_by_rows_and_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, [])
    exported(tmp_path / "s3", out, [metric()])
    assert {file for file in files_in(out) if "metric" in file} == {
        "fact_metric/2031-05-17.parquet"
    }
    done = exported(tmp_path / "s3", out, [])
    assert {file for file in files_in(out) if "metric" in file} == {"fact_metric/empty.parquet"}
    assert done.removed == 1


def test_export_item_order_does_not_change_files(tmp_path: Path) -> None:
    models = everything()
    exported(tmp_path / "s3", tmp_path / "a", models)
    exported(tmp_path / "s3", tmp_path / "b", models[::-1])
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first.pop("manifest.json") != second.pop("manifest.json")
    assert first == second


def test_export_manifest_describes_files(tmp_path: Path) -> None:
    reports: list[Progress] = []
    done = exported(tmp_path / "s3", tmp_path / "out", everything(), report=reports.append)
    found = manifest(tmp_path / "out")
    assert found == done.manifest
    assert found["schema_version"] == 1
    assert found["format"] == "parquet"
    assert found["range"] is None
    assert found["from"]["kind"] == "s3-export"
    assert found["from"]["time"] == "2026-11-23T06:00:00.000000Z"
    assert found["sources"] == ["hubspot", "phone"]
    events = found["tables"]["fact_webhook_event"]
    assert (events["rows"], events["first_day"], events["last_day"]) == (
        2,
        "2031-05-17",
        "2031-05-18",
    )
    assert events["columns"][0] == {"name": "date", "type": "date"}
    assert {file["file"] for table in found["tables"].values() for file in table["files"]} == (
        files_in(tmp_path / "out") - {"manifest.json"}
    )
    assert all(
        (tmp_path / "out" / file["file"]).stat().st_size == file["bytes"]
        for table in found["tables"].values()
        for file in table["files"]
    )
    assert reports[-1] == Progress(9, 9)


def test_export_some_kinds_keeps_other_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything())
    before = contents(out)
    done = exported(tmp_path / "s3", out, [metric(value=7)], kinds=["metric"])
    assert done.rows == {"fact_metric": 1}
    after = contents(out)
    changed = {file for file in before | after if before.get(file) != after.get(file)}
    assert changed == {
        "manifest.json",
        "fact_metric/2031-05-17.parquet",
        "fact_metric/2031-05-18.parquet",
    }
    assert manifest(out)["tables"]["fact_job_run"]["rows"] == 2
    assert manifest(out)["sources"] == ["hubspot", "phone"]


def test_export_some_kinds_in_new_folder_writes_only_them(tmp_path: Path) -> None:
    exported(tmp_path / "s3", tmp_path / "out", everything(), kinds="agent")
    assert files_in(tmp_path / "out") == {"manifest.json", "dim_agent/dim_agent.parquet"}


def test_export_other_format_of_some_kinds_raises(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything())
    before = contents(out)
    with pytest.raises(ExportFailed, match="contains parquet files of schema version 1"):
        exported(tmp_path / "s3", out, [], format="csv", kinds=["metric"])
    assert contents(out) == before
    exported(tmp_path / "s3", out, everything(), format="csv")
    assert {Path(file).suffix for file in files_in(out)} == {".csv", ".json"}
    (out / "manifest.json").unlink()
    with pytest.raises(ExportFailed, match="no manifest"):
        exported(tmp_path / "s3", out, [], format="csv", kinds=["metric"])
    exported(tmp_path / "s3", out, everything())
    assert {Path(file).suffix for file in files_in(out)} == {".parquet", ".json"}


def test_export_all_kinds_replaces_other_version(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything())
    later = manifest(out)
    later["schema_version"] += 1
    later["tables"]["fact_metric"]["files"] = [{"name": "2031-05-17", "what": "unknown"}]
    (out / "manifest.json").write_text(json.dumps(later))
    with pytest.raises(ExportFailed, match="contains parquet files of schema version 2"):
        exported(tmp_path / "s3", out, everything(), kinds=["metric"])
    exported(tmp_path / "s3", out, everything())
    assert manifest(out)["schema_version"] == later["schema_version"] - 1
    assert len(rows_in(out, TABLE_OF["metric"])) == 2


@pytest.mark.parametrize(
    "foreign",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"name": "a web application", "icons": []}',
        MANIFEST % "5",
        MANIFEST % '{"dim_agent": 5}',
        MANIFEST % '{"dim_agent": {"files": [{}]}}',
        '{"format": "parquet", "schema_version": 1, "sources": 5, "tables": {}}',
    ],
    ids=lambda foreign: foreign[:70],
)
@pytest.mark.parametrize("kinds", [None, ["metric"]])
def test_export_foreign_manifest_is_never_replaced(
    foreign: str, kinds: list[str] | None, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(foreign)
    with pytest.raises(ExportFailed, match="not a manifest of an export"):
        exported(tmp_path / "s3", tmp_path / "out", [], kinds=kinds)
    assert (tmp_path / "out" / "manifest.json").read_text() == foreign


def test_export_foreign_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "out" / "fact_metric").mkdir(parents=True)
    foreign = {"notes.txt", "fact_metric/desktop.ini", "fact_metric/2031-05-17.xlsx"}
    for file in foreign:
        (tmp_path / "out" / file).write_text("foreign")
    exported(tmp_path / "s3", tmp_path / "out", [])
    assert foreign < files_in(tmp_path / "out")


@pytest.mark.parametrize(
    "given",
    [{"format": "xlsx"}, {"kinds": []}, {"kinds": ["claim"]}],
)
def test_export_invalid_argument_raises_invalid_value(given: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"^(format|kinds) "):
        exported(tmp_path / "s3", tmp_path / "out", [], **given)


def test_export_invalid_days_raise_invalid_value(tmp_path: Path) -> None:
    quill = connect(Settings(endpoint="http://127.0.0.1:9"))
    today = NOON.date()
    with pytest.raises(InvalidValue, match="until requires since"):
        export_files(quill, tmp_path, until=today)
    with pytest.raises(InvalidValue, match="until must be later"):
        export_files(quill, tmp_path, since=today, until=today)
    with pytest.raises(InvalidValue, match="must be a date"):
        export_files(quill, tmp_path, since=NOON)
    last = connect(
        Settings(endpoint="http://127.0.0.1:9"),
        clock=lambda: datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    )
    with pytest.raises(InvalidValue, match="since 9999-12-31"):
        export_files(last, tmp_path, since=date.max)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kinds", [None, ["deal"], ["agent", "deal"]])
def test_export_days_of_kind_without_list_raises(
    kinds: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deals = StarTable("fact_deal", "deal", (), partition="closes_at")
    monkeypatch.setattr(exporting, "TABLES", (*TABLES, deals))
    quill = connect(Settings(endpoint="http://127.0.0.1:9"))
    today, message = NOON.date(), r"kind deal .*Omit since .*agent"
    with pytest.raises(InvalidValue, match=message):
        export_files(quill, tmp_path, since=today, until=today + DAY, kinds=kinds)
    assert not list(tmp_path.glob("*.json"))


@contextmanager
def failing_fsync(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        yield


@FORMATS
def test_export_full_disk_keeps_previous_files(
    file_format: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything(), format=file_format)
    before = contents(out)
    with failing_fsync(monkeypatch, errno.ENOSPC):
        with pytest.raises(ExportFailed, match=f"{out} failed: No space left on device"):
            exported(tmp_path / "s3", out, [], format=file_format)
    assert contents(out) == before


def test_export_unwritable_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportFailed, match="Not a directory"):
        exported(tmp_path / "s3", tmp_path / "file" / "out", [])


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("computed_at", {"S": "today"}),
        ("value", {"N": "many"}),
        ("bucket_start", {"S": "2031-05-17"}),
        ("bucket_start", {"NULL": True}),
        # Python parses these times, but they would be sorted wrongly or have no day.
        ("bucket_start", {"S": "20310517T120000,1234567890Z"}),
        ("bucket_start", {"S": "2031-05-17 12:00:00.000000Z"}),
        ("unit", {"S": 7}),
    ],
)
def test_export_invalid_item_raises_key_and_attribute(
    attribute: str, value: dict[str, Any], tmp_path: Path
) -> None:
    item = {**metric().to_item(4), attribute: value}
    write_export(tmp_path / "s3", [line_of(item)])
    with pytest.raises(InvalidValue, match="METRIC#agent:7#calls#day") as raised:
        export_from_s3(tmp_path / "s3", tmp_path / "out")
    assert attribute in str(raised.value)


def test_export_concurrent_export_raises(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything())
    before = contents(out)
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LOCKING,
            str(out),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(ExportFailed, match="Another process is exporting into"):
        exported(tmp_path / "s3", out, [])
    other.communicate(b"\n", timeout=30)
    assert contents(out) == before
    exported(tmp_path / "s3", out, [])
