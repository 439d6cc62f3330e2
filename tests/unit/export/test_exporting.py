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
OURS = '{"format": "parquet", "schema_version": 1, "sources": [], "tables": %s}'
HOLDER = """
import pathlib, sys
from quill_models.export.commit import opened
with opened(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
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
def test_every_kind_is_in_its_table_and_on_its_day(
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
def test_kinds_without_rows_have_a_file_with_their_columns(
    file_format: Format, reader: str, tmp_path: Path
) -> None:
    done = exported(tmp_path / "s3", tmp_path / "out", [], format=file_format)
    assert files_in(tmp_path / "out") == {
        "manifest.json",
        f"dim_agent/dim_agent.{file_format}",
        *(f"{table.name}/empty.{file_format}" for table in TABLES if table.partition),
    }
    assert all(rows_in(tmp_path / "out", table, reader) == [] for table in TABLES)
    assert set(done.rows.values()) == {0}


def test_the_empty_file_goes_when_rows_come_and_comes_when_they_go(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, [])
    exported(tmp_path / "s3", out, [metric()])
    assert {file for file in files_in(out) if "metric" in file} == {
        "fact_metric/2031-05-17.parquet"
    }
    done = exported(tmp_path / "s3", out, [])
    assert {file for file in files_in(out) if "metric" in file} == {"fact_metric/empty.parquet"}
    assert done.removed == 1


def test_the_files_do_not_depend_on_the_order_of_the_items(tmp_path: Path) -> None:
    models = everything()
    exported(tmp_path / "s3", tmp_path / "a", models)
    exported(tmp_path / "s3", tmp_path / "b", models[::-1])
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first.pop("manifest.json") != second.pop("manifest.json")
    assert first == second


def test_the_manifest_says_what_there_is(tmp_path: Path) -> None:
    told: list[Progress] = []
    done = exported(tmp_path / "s3", tmp_path / "out", everything(), report=told.append)
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
    assert told[-1] == Progress(9, 9)


def test_some_kinds_leave_the_others_as_they_are(tmp_path: Path) -> None:
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


def test_some_kinds_alone_have_no_other_files(tmp_path: Path) -> None:
    exported(tmp_path / "s3", tmp_path / "out", everything(), kinds="agent")
    assert files_in(tmp_path / "out") == {"manifest.json", "dim_agent/dim_agent.parquet"}


def test_files_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything())
    before = contents(out)
    with pytest.raises(ExportFailed, match="holds parquet files of schema version 1"):
        exported(tmp_path / "s3", out, [], format="csv", kinds=["metric"])
    assert contents(out) == before
    exported(tmp_path / "s3", out, everything(), format="csv")
    assert {Path(file).suffix for file in files_in(out)} == {".csv", ".json"}
    (out / "manifest.json").unlink()
    with pytest.raises(ExportFailed, match="no manifest"):
        exported(tmp_path / "s3", out, [], format="csv", kinds=["metric"])
    exported(tmp_path / "s3", out, everything())
    assert {Path(file).suffix for file in files_in(out)} == {".parquet", ".json"}


def test_everything_replaces_files_of_another_version(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything())
    later = manifest(out)
    later["schema_version"] += 1
    later["tables"]["fact_metric"]["files"] = [{"name": "2031-05-17", "what": "nobody knows yet"}]
    (out / "manifest.json").write_text(json.dumps(later))
    with pytest.raises(ExportFailed, match="do not go together"):
        exported(tmp_path / "s3", out, everything(), kinds=["metric"])
    exported(tmp_path / "s3", out, everything())
    assert manifest(out)["schema_version"] == later["schema_version"] - 1
    assert len(rows_in(out, TABLE_OF["metric"])) == 2


@pytest.mark.parametrize(
    "theirs",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"name": "a web application", "icons": []}',
        OURS % "5",
        OURS % '{"dim_agent": 5}',
        OURS % '{"dim_agent": {"files": [{}]}}',
        '{"format": "parquet", "schema_version": 1, "sources": 5, "tables": {}}',
    ],
    ids=lambda theirs: theirs[:70],
)
@pytest.mark.parametrize("kinds", [None, ["metric"]])
def test_a_manifest_that_is_not_ours_is_never_replaced(
    theirs: str, kinds: list[str] | None, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(theirs)
    with pytest.raises(ExportFailed, match="no manifest of an export"):
        exported(tmp_path / "s3", tmp_path / "out", [], kinds=kinds)
    assert (tmp_path / "out" / "manifest.json").read_text() == theirs


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "out" / "fact_metric").mkdir(parents=True)
    theirs = {"notes.txt", "fact_metric/desktop.ini", "fact_metric/2031-05-17.xlsx"}
    for file in theirs:
        (tmp_path / "out" / file).write_text("theirs")
    exported(tmp_path / "s3", tmp_path / "out", [])
    assert theirs < files_in(tmp_path / "out")


@pytest.mark.parametrize(
    "given",
    [{"format": "xlsx"}, {"kinds": []}, {"kinds": ["claim"]}],
)
def test_values_that_are_not_allowed(given: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"one of|allowed are"):
        exported(tmp_path / "s3", tmp_path / "out", [], **given)


def test_days_that_are_none(tmp_path: Path) -> None:
    quill = connect(Settings(endpoint="http://127.0.0.1:9"))
    today = NOON.date()
    with pytest.raises(InvalidValue, match="without since"):
        export_files(quill, tmp_path, until=today)
    with pytest.raises(InvalidValue, match="no day from"):
        export_files(quill, tmp_path, since=today, until=today)
    with pytest.raises(InvalidValue, match="must be a date"):
        export_files(quill, tmp_path, since=NOON)
    last = connect(
        Settings(endpoint="http://127.0.0.1:9"),
        clock=lambda: datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    )
    with pytest.raises(InvalidValue, match="no day from 9999-12-31"):
        export_files(last, tmp_path, since=date.max)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kinds", [None, ["deal"], ["agent", "deal"]])
def test_days_of_a_kind_without_a_list_by_day(
    kinds: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deals = StarTable("fact_deal", "deal", (), partition="closes_at")
    monkeypatch.setattr(exporting, "TABLES", (*TABLES, deals))
    quill = connect(Settings(endpoint="http://127.0.0.1:9"))
    today, says = NOON.date(), r"kind 'deal' .* the whole table, without since; .*agent"
    with pytest.raises(InvalidValue, match=says):
        export_files(quill, tmp_path, since=today, until=today + DAY, kinds=kinds)
    assert not list(tmp_path.glob("*.json"))


# What goes wrong.


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Nothing can be written for good."""

    def refused(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refused)
        yield


@FORMATS
def test_without_space_what_was_there_stays(
    file_format: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything(), format=file_format)
    before = contents(out)
    with refusing(monkeypatch, errno.ENOSPC):
        with pytest.raises(ExportFailed, match=f"{out} failed: No space left on device"):
            exported(tmp_path / "s3", out, [], format=file_format)
    assert contents(out) == before


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
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
        # Each is a time to Python, and one that would be put in another order or on no day.
        ("bucket_start", {"S": "20310517T120000,1234567890Z"}),
        ("bucket_start", {"S": "2031-05-17 12:00:00.000000Z"}),
        ("unit", {"S": 7}),
    ],
)
def test_an_item_that_cannot_be_a_row_is_named(
    attribute: str, value: dict[str, Any], tmp_path: Path
) -> None:
    item = {**metric().to_item(4), attribute: value}
    write_export(tmp_path / "s3", [line_of(item)])
    with pytest.raises(InvalidValue, match="METRIC#agent:7#calls#day") as told:
        export_from_s3(tmp_path / "s3", tmp_path / "out")
    assert attribute in str(told.value)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, everything())
    before = contents(out)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER,
            str(out),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(ExportFailed, match="Another process is exporting into"):
        exported(tmp_path / "s3", out, [])
    holder.communicate(b"\n", timeout=30)
    assert contents(out) == before
    exported(tmp_path / "s3", out, [])
