"""Wrong usage exits with 2; failures exit with 1, a message and no traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.unit.command.conftest import Run
from tests.unit.migrations.files import write_migration
from tests.unit.wire import closed_port

pytestmark = pytest.mark.usefixtures("isolated", "delays")


@pytest.mark.parametrize(
    "arguments",
    [
        "nonsense",
        "--nonsense",
        "schema nonsense",
        "schema apply extra",
        "migrate nonsense",
        "migrate status extra",
        "migrate plan --to zero",
        "migrate up --to 0",
        "migrate up --write-units 0",
        "migrate up --write-units nan",
        "migrate up extra",
        "migrate new",
        "local start --port 0",
        "local start --port 65536",
        "local start --port many",
        "local status extra",
        "ingest nonsense",
        "ingest hubspot",
        "ingest hubspot no-such-file.json",
        "ingest hubspot .",
        "load",
        "load no-such-file.jsonl",
        "load .",
        "help no-such-topic",
        "help tour extra",
        "export",
        "export --out x --format xlsx",
        "export --out x --kind claim",
        "export --out x --since yesterday",
        "export --out x --until 2031-05-17",
        "export --out x --since 2031-05-17 --until 2031-05-17",
        "export --out x --source phone",
        "export --out x --from-s3-export no-such-folder",
        "export --out x --from-s3-export . --since 2031-05-17",
        "list nonsense",
        "list agents --status gone --json",
        "completion",
        "completion csh",
        "list agents --team a --status active",
        "list agents --status gone",
        "list agents --limit 0",
        "list agents --limit many",
        "list agents --limit 99999999999999999999",
        "jobs --limit 99999999999999999999",
        "events --limit 99999999999999999999",
        "events --all --status dead",
        "jobs --job a --status failed",
        "list interactions --agent a --contact b",
        "list interactions --day today",
        "list interactions --day 2031-13-01",
        "list interactions --since 2031-05-17",
        "list interactions --agent a --since yesterday",
        "list metrics",
        "list metrics --name calls",
        "list metrics --name calls --scope global --bucket 2031-05-17",
        "list metrics --name calls --scope global --grain year",
        "list metrics --name calls --day 2031-05-17",
        "list metrics --scope global --day 2031-05-17",
        "list metrics --scope global",
        "list metrics --name calls --scope ada",
        "list metrics --name calls --bucket 2031-05-17T12:00",
        "list metrics --name calls --grain week --bucket 2031-05-17",
        "list metrics --name calls --bucket 0001-01-01T00:00+01:00",
        "list metrics --name calls --bucket 2031-05-17 --since 2031-05-17",
        "list job-runs --job a --status failed",
        "list job-runs --status lost",
        "list webhook-events --object contact",
        "list webhook-events --object contact 1 --status dead",
        "list webhook-events --status gone",
    ],
)
def test_command_wrong_usage_exits_with_2(run: Run, arguments: str) -> None:
    status, out, err = run(*arguments.split())
    assert status == 2
    # Also with --json, because the options are not parsed yet.
    assert out == ""
    assert err.startswith(("Usage: ", "Error: "))
    assert "Error: " in err
    assert "Traceback" not in err


@pytest.fixture
def closed_endpoint(monkeypatch: pytest.MonkeyPatch) -> str:
    """Set an endpoint without a server in the environment, and return it."""
    endpoint = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("DYNAMODB_ENDPOINT", endpoint)
    return endpoint


@pytest.fixture
def files(isolated: Path) -> Path:
    (isolated / "good.jsonl").write_text('{"kind": "agent", "agent_id": "7"}\n')
    (isolated / "bad.jsonl").write_text('\n{"kind": "squad"}\n')
    (isolated / "empty.json").write_text("[]")
    return isolated


NEEDS_A_SERVER = [
    "schema apply",
    "migrate status",
    "migrate plan --to 1",
    "migrate up --no-wait",
    "schema diff",
    "load good.jsonl",
    "export --out x",
    "export --out x --since 2020-01-01 --kind job-run",
    "ingest hubspot empty.json",
    "list agents",
    "list agents --team north",
    "list interactions",
    "list interactions --agent 7 --since 2031-05-17T12:00",
    "list metrics --name calls --scope global",
    "list metrics --name calls --bucket 2031-05-17",
    "list metrics --day 2031-05-17",
    "list job-runs",
    "list job-runs --job sync",
    "list webhook-events",
    "list webhook-events --object contact 123",
]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["", "json"])
@pytest.mark.parametrize("arguments", NEEDS_A_SERVER)
def test_command_without_server_names_ways_to_start_one(
    run: Run, closed_endpoint: str, arguments: str, as_json: list[str]
) -> None:
    status, out, err = run(*arguments.split(), *as_json)
    assert status == 1
    assert err.startswith("Error: ")
    assert f"No DynamoDB responds at {closed_endpoint}" in err
    for way in ("docker compose up", "quill local start", "DYNAMODB_ENDPOINT=…"):
        assert way in err
    assert "Traceback" not in err
    if not as_json:
        assert out == ""
        return
    (error,) = json.loads(out)["errors"]
    assert error["type"] in {"ServerUnreachable", "PartialWriteError"}
    assert err == f"Error: {error['reason']}\n"


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("arguments", ["demo", "local status", *NEEDS_A_SERVER])
def test_command_invalid_setting_exits_with_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    monkeypatch.setenv("DATA_BACKEND", "moto")
    status, out, err = run(*arguments.split())
    assert (status, out) == (1, "")
    assert err == "Error: DATA_BACKEND must be dynamodb-local or aws, got 'moto'.\n"


def test_demo_aws_backend_exits_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_BACKEND", "aws")
    status, out, err = run("demo")
    assert (status, out) == (1, "")
    assert "DATA_BACKEND=dynamodb-local" in err


@pytest.mark.usefixtures("files", "closed_endpoint")
def test_load_invalid_line_fails_before_any_request(run: Run) -> None:
    status, out, err = run("load", "bad.jsonl", "--json")
    assert status == 1
    assert err.startswith("Error: bad.jsonl: line 2: kind must be one of agent")
    document = json.loads(out)
    assert document["files"] == []
    (error,) = document["errors"]
    assert (error["type"], error["file"]) == ("InvalidPayload", "bad.jsonl")
    assert error["position"] == "line 2"


@pytest.mark.usefixtures("files", "closed_endpoint")
def test_load_several_files_reports_each_error(
    run: Run,
) -> None:
    status, out, err = run("load", "bad.jsonl", "good.jsonl", "good.jsonl", "--json")
    assert status == 1
    wrong, stopped = json.loads(out)["errors"]
    assert wrong["file"] == "bad.jsonl"
    assert stopped["reason"].startswith("good.jsonl: No DynamoDB responds")
    assert err.count("Error: ") == 2


@pytest.mark.usefixtures("closed_endpoint")
@pytest.mark.parametrize("arguments", ["load -", "ingest hubspot -"])
def test_command_closed_stdin_exits_with_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    status, _, err = run(*arguments.split())
    assert (status, err) == (1, "Error: -: cannot be read: standard input is closed\n")


def test_migrate_new_writes_file_only_in_checkout(run: Run, isolated: Path) -> None:
    status, out, err = run("migrate", "new", "list", "agents", "by", "email")
    assert (status, out) == (1, "")
    assert "has no migrations" in err
    assert str(isolated) in err.replace("\n", "")
    folder = Path("quill_models", "migrations", "versions")
    folder.parent.mkdir(parents=True)
    write_migration(folder, "0001_a")
    status, out, err = run("migrate", "new", "list", "agents", "by", "email")
    file = folder / "0002_list_agents_by_email.py"
    assert (status, out, err) == (0, f"Wrote {file}.\n", "")
    assert "list agents by email" in file.read_text()
    status, out, _ = run("migrate", "new", "--json", "and", "more")
    assert (status, json.loads(out)) == (0, {"file": str(folder / "0003_and_more.py")})
    status, out, err = run("migrate", "new", "…")
    assert (status, out) == (1, "")
    assert "letters a to z" in err


@pytest.mark.usefixtures("closed_endpoint")
@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "agents", "--team", "\udcff"],
        ["list", "interactions", "--agent", "x" * 3000],
        ["list", "interactions", "--agent", "7", "--since", "0001-01-01T00:00+01:00"],
    ],
    ids=["no text", "too long", "too early"],
)
def test_list_unstorable_value_prints_no_traceback(run: Run, arguments: list[str]) -> None:
    status, out, err = run(*arguments)
    assert status in {1, 2}
    assert out == ""
    assert "Error: " in err
    assert "Traceback" not in err
