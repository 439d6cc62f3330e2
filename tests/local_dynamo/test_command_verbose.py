"""``-v`` of the command: requests on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from quill_models import Quill
from quill_models.command import main
from tests.local_dynamo import tables

quill = tables.emptied

BUTTON = Path(str(files("quill_models"))) / "samples" / "hubspot" / "test_button.json"
Ran = tuple[int, str, list[str]]


@pytest.fixture
def run(
    quill: Quill,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., Ran]:
    """Runs ``quill`` in this process: exit status, standard output, lines of standard error."""
    monkeypatch.setenv("DATA_BACKEND", "dynamodb-local")
    monkeypatch.setenv("DYNAMODB_ENDPOINT", quill.settings.endpoint or "")
    monkeypatch.setenv("QUILL_TABLE", quill.settings.table)
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["quill", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err.splitlines()

    return run_it


@pytest.mark.parametrize(
    "line",
    [
        ["-v", "schema", "diff"],
        ["schema", "-v", "diff"],
        ["schema", "diff", "-v"],
        ["schema", "diff", "--verbose", "--json"],
    ],
    ids=" ".join,
)
def test_verbose_works_in_any_position(
    run: Callable[..., Ran], quill: Quill, line: list[str]
) -> None:
    status, _, lines = run(*line)
    # The table of these tests has no stream, which is a difference.
    assert status == 1
    assert [each.partition(":")[0] for each in lines] == [
        f"DescribeTable on {quill.settings.table} for schema.diff",
        f"DescribeTimeToLive on {quill.settings.table} for schema.diff",
    ]


def test_verbose_keeps_json_alone_on_stdout(run: Callable[..., Ran]) -> None:
    status, printed, lines = run("ingest", "hubspot", BUTTON, "--json", "-v")
    assert status == 0
    assert json.loads(printed)["total"]["created"] == 1
    writes = [each for each in lines if "for webhook_events.iter_record_many" in each]
    assert len(writes) == 1
    assert "PutItem" in writes[0]
    assert "for webhook_events.iter_record_many: 200, 1 item, " in writes[0]
    assert " request id " not in writes[0]


def test_verbose_twice_adds_sizes_and_request_ids(run: Callable[..., Ran]) -> None:
    for line in (["-vv", "schema", "diff"], ["-v", "schema", "diff", "-v"]):
        _, _, lines = run(*line)
        assert len(lines) == 2
        assert all(", bytes sent " in each for each in lines)
        assert all(", request id " in each for each in lines)


def test_verbose_absent_prints_only_warnings(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("schema", "diff")[2] == []

    def apply(*_: object, **__: object) -> list[str]:
        logging.getLogger("quill_models.events").warning("Event %r\x1b[2J is dead", "e1")
        logging.getLogger("quill_models.events").info("nothing to worry about")
        return []

    monkeypatch.setattr("quill_models.schema.Schema.apply", apply)
    assert run("schema", "apply")[2] == ["Warning: Event 'e1'\\x1b[2J is dead"]


def test_verbose_restores_logger(run: Callable[..., Ran]) -> None:
    logger = logging.getLogger("quill_models")
    before = logger.level, list(logger.handlers)
    run("-vv", "schema", "diff")
    assert (logger.level, logger.handlers) == before
