"""The benchmarks of writes and reads, at a size that takes seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.reads.__main__ import main as reads
from benchmarks.writes.__main__ import main
from benchmarks.writes.contenders import CONTENDERS
from benchmarks.writes.measure import WrongResultError, run_all
from benchmarks.writes.server import given_server

ONLY = ["quill-many", "pynamodb-save-8", "pynamodb-batch"]


def test_writes_three_contenders_counts_their_requests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quill_endpoint: str
) -> None:
    monkeypatch.setenv("DYNAMODB_ENDPOINT", quill_endpoint)
    given = ["--events", "30", "--rounds", "1", "--inputs", "half", "--json", "--only", *ONLY]
    assert main(given) == 0
    runs = {run["contender"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert sorted(runs) == sorted(ONLY)
    assert runs["pynamodb-save-8"]["requests"] == 30
    assert runs["pynamodb-batch"]["requests"] == 2
    for name in ("pynamodb-save-8", "pynamodb-batch"):
        assert runs[name]["write_units"] == 30
    # Half of the events are new, and each is in three indexes.
    assert runs["pynamodb-save-8"]["index_units"] == runs["quill-many"]["index_units"] == 45
    assert runs["quill-many"]["requests"] < 30


def test_writes_wrong_report_raises_wrong_result_error(quill_endpoint: str) -> None:
    wrong = replace(CONTENDERS["quill-many"], reports=False)
    with pytest.raises(WrongResultError, match="quill record_many reported"):
        run_all(given_server(quill_endpoint), [wrong], ["new"], events=3, rounds=1, report=print)


class TestReads:
    @pytest.fixture(autouse=True)
    def server(self, monkeypatch: pytest.MonkeyPatch, quill_endpoint: str) -> None:
        monkeypatch.setenv("DYNAMODB_ENDPOINT", quill_endpoint)
        monkeypatch.chdir(Path(__file__).parents[2])

    def test_reads_three_contenders_prints_ratios(self, capsys: pytest.CaptureFixture[str]) -> None:
        only = ["quill", "pynamodb", "bare-http"]
        assert reads(["--items", "60", "--rounds", "1", "--only", *only]) == 0
        printed = capsys.readouterr().out
        assert "60 items" in printed
        for label in ("typed models", "an equal model", "wire format"):
            assert label in printed
        assert printed.count("list_by_agent is") == 2

    def test_reads_to_parquet_prints_second_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        only = ["quill", "pynamodb"]
        assert reads(["--items", "60", "--rounds", "1", "--to-parquet", "--only", *only]) == 0
        printed = capsys.readouterr().out
        assert "60 items to Parquet" in printed
        assert "quill export_files" in printed

    def test_reads_profile_prints_ten_functions(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert reads(["--items", "60", "--profile", "quill"]) == 0
        printed = capsys.readouterr().out
        assert "typed models: own time" in printed
        assert len(printed.splitlines()) == 13
