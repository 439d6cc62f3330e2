"""`quill export`: output and exit status."""

import json
from pathlib import Path

import pytest

from quill_models import Quill
from tests.local_dynamo import tables, test_command
from tests.local_dynamo.support import NOON, event, interaction, on_a_terminal
from tests.local_dynamo.test_command import PROGRAM, Run, document, failed, succeeded
from tests.unit.examples import agent, metric
from tests.unit.export.folders import files_in, manifest, s3_export

quill = tables.emptied
on_the_table = test_command.on_the_table
program = test_command.program
run = test_command.run

TODAY = f"{NOON.date()}"


@pytest.fixture
def filled(quill: Quill) -> Quill:
    quill.interactions.record(interaction("a"))
    quill.webhook_events.record_many(event(f"{number}", occurred_at=NOON) for number in range(3))
    return quill


def test_export_complete_table_writes_files(filled: Quill, program: Run, tmp_path: Path) -> None:
    finished = program("export", "--out", "powerbi", "--format", "parquet")
    output = succeeded(finished)
    assert "fact_webhook_event" in output
    assert "powerbi: 5 files written, 0 outdated files removed." in output
    assert finished.stderr == ""
    assert len(files_in(tmp_path / "powerbi")) == 6


@pytest.mark.parametrize("file_format", ["parquet", "csv", "jsonl"])
def test_export_json_prints_one_document(
    filled: Quill, run: Run, tmp_path: Path, file_format: str
) -> None:
    output = document(run("export", "--out", "x", "--format", file_format, "--json"))
    assert output["out"] == "x"
    assert output["rows"] == {
        "dim_agent": 0,
        "fact_interaction": 1,
        "fact_metric": 0,
        "fact_job_run": 0,
        "fact_webhook_event": 3,
    }
    assert (output["files"], output["removed"]) == (5, 0)
    assert output["manifest"] == manifest(tmp_path / "x")


def test_export_days_and_kinds_limit_rows(filled: Quill, run: Run, tmp_path: Path) -> None:
    days = ["--since", TODAY, "--until", "2031-05-18"]
    kinds = ["--kind", "webhook-event", "--kind", "job_run"]
    output = document(run("export", "--out", "x", *days, *kinds, "--source", "phone", "--json"))
    assert output["rows"] == {"fact_job_run": 0, "fact_webhook_event": 0}
    assert output["manifest"]["sources"] == ["phone"]
    output = document(run("export", "--out", "x", *days, "--source", "hubspot", "--json"))
    assert output["rows"]["fact_webhook_event"] == 3
    assert output["manifest"]["sources"] == ["hubspot", "phone"]
    assert output["manifest"]["range"] == {"since": TODAY, "until": "2031-05-18"}
    assert TODAY in succeeded(run("export", "--out", "x", *days))


def test_export_assumed_source_prints_note(filled: Quill, program: Run) -> None:
    day = ["--since", TODAY, "--until", "2031-05-18"]
    first = program("export", "--out", "x", *day, "--json")
    assert json.loads(first.stdout)["rows"]["fact_webhook_event"] == 3
    assert "Exported events of hubspot only" in first.stderr
    assert "--source" in first.stderr
    again = program("export", "--out", "x", *day)
    assert (again.returncode, again.stderr) == (0, "")


def test_export_from_s3_needs_no_server(run: Run, tmp_path: Path) -> None:
    no_server = {"DYNAMODB_ENDPOINT": "http://127.0.0.1:1"}
    s3_export(tmp_path / "s3", [agent(), metric()])
    output = document(run("export", "--out", "x", "--from-s3-export", "s3", "--json", **no_server))
    assert output["rows"]["dim_agent"] == output["rows"]["fact_metric"] == 1
    assert output["manifest"]["from"]["kind"] == "s3-export"
    next((tmp_path / "s3").rglob("*.json.gz")).unlink()
    message = failed(run("export", "--out", "x", "--from-s3-export", "s3"))
    assert "lacks 1 of" in message
    assert manifest(tmp_path / "x") == output["manifest"]


def test_export_failure_prints_message(filled: Quill, run: Run, tmp_path: Path) -> None:
    succeeded(run("export", "--out", "x", "--format", "csv"))
    assert "Export everything" in failed(
        run("export", "--out", "x", "--since", "2020-01-01", "--kind", "agent")
    )
    (tmp_path / "file").write_text("")
    assert "Not a directory" in failed(run("export", "--out", "file/x"))
    assert "no-such-table" in failed(run("export", "--out", "y", QUILL_TABLE="no-such-table"))


def test_export_on_terminal_shows_bar(
    filled: Quill, on_the_table: dict[str, str], tmp_path: Path
) -> None:
    out, output = on_a_terminal(
        [*PROGRAM, "export", "--out", "x", "--json"], tmp_path, on_the_table
    )
    assert json.loads(out)["rows"]["fact_webhook_event"] == 3
    assert b"items" in output
