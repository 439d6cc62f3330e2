"""`quill load` and `quill list`."""

import json
from pathlib import Path

import pytest

from quill_models import Quill
from tests.local_dynamo import tables, test_command
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.test_command import (
    DELIVERIES,
    SAMPLES,
    Run,
    document,
    failed,
    succeeded,
    written,
)

quill = tables.emptied
on_the_table = test_command.on_the_table
program = test_command.program
run = test_command.run


@pytest.fixture
def filled(run: Run) -> None:
    names = ("agents.jsonl", "interactions.jsonl", "metrics.jsonl")
    paths = [SAMPLES / name for name in names]
    first = document(run("load", "--json", *paths))
    assert [row["items"] for row in first["files"]] == [
        len(path.read_text().splitlines()) for path in paths
    ]
    assert all(row["created"] == row["items"] for row in first["files"])
    again = document(run("load", "--json", *paths))
    assert all(row["unchanged"] == row["items"] for row in again["files"])
    succeeded(run("ingest", "hubspot", DELIVERIES / "property_changes.json"))


@pytest.mark.usefixtures("filled")
def test_list_kind_prints_items(program: Run, run: Run) -> None:
    kinds: dict[str, tuple[list[str], int, str]] = {
        "agent": (["agents"], 4, "Björn Lund"),
        "interaction": (["interactions", "--agent", "ada"], 3, "call-7001"),
        "metric": (["metrics", "--scope", "agent:ada", "--name", "calls"], 2, "agent:ada"),
        "job_run": (["job-runs"], 1, "ingest-hubspot"),
        "webhook_event": (["webhook-events"], 5, "contact.propertyChange"),
    }
    for kind, (arguments, number, shown) in kinds.items():
        shows = program if kind == "agent" else run
        assert shown in succeeded(shows("list", *arguments))
        listed = document(run("list", *arguments, "--json"))
        assert set(listed) == {"items", "more"}
        assert listed["more"] is False
        assert {item["kind"] for item in listed["items"]} == {kind}
        assert len(listed["items"]) >= number


@pytest.mark.usefixtures("filled")
def test_list_options_select_items(run: Run) -> None:
    north = document(run("list", "agents", "--team", "north", "--json"))
    assert [item["agent_id"] for item in north["items"]] == ["ada", "bjorn"]
    page = document(run("list", "agent", "--limit", "1", "--json"))
    assert (len(page["items"]), page["more"]) == (1, True)
    day = document(run("list", "interactions", "--day", "2026-11-20", "--json"))
    assert [item["interaction_id"] for item in day["items"]] == [
        "call-7001",
        "mail-7002",
        "chat-7003",
    ]
    assert day["items"][0]["duration_seconds"] == 330.5
    lines = succeeded(run("list", "interactions", "--day", "2026-11-20")).splitlines()
    assert "outcome" in lines[1]
    assert "connected" in lines[3]
    assert max(map(len, lines)) <= 120
    across = document(run("list", "metrics", "--name", "calls", "--bucket", "2026-11-20", "--json"))
    assert [item["scope"] for item in across["items"]] == ["agent:ada", "team:north"]
    day = document(run("list", "metrics", "--day", "2026-11-20", "--json"))
    assert {item["bucket_start"][:10] for item in day["items"]} == {"2026-11-20"}
    assert len(day["items"]) >= 2


def test_list_without_items_prints_message(run: Run) -> None:
    finished = run("list", "agents", "--json")
    assert document(finished) == {"items": [], "more": False}
    for arguments, shown in {
        ("agents",): "No agents.",
        ("interactions",): "No interactions in the last 7 days.",
        ("interactions", "--agent", "ada"): "No interactions.",
        ("metrics", "--day", "2026-11-20"): "No metrics.",
        ("job-runs",): "No job runs.",
        ("webhook-events",): ("No webhook events of hubspot. Select another source with --source."),
        ("webhook-events", "--source", "desk", "--status", "dead"): (
            "No dead webhook events of desk. Select another source with --source."
        ),
    }.items():
        assert succeeded(run("list", *arguments)) == f"{shown}\n"


def test_load_stdin_stores_items(run: Run) -> None:
    given = '\ufeff{"kind": "agent", "agent_id": "7"}\r\n\r\n{"kind": "agent", "agent_id": "8"}'
    shown = document(run("load", "-", "--json", given=given))
    assert [(row["file"], row["created"]) for row in shown["files"]] == [("-", 2)]
    message = failed(run("load", "-", given='{"kind": "person"}'))
    assert message.startswith("Error: -: line 1: kind must be one of")


def test_load_lost_server_reports_completed_files(run: Run, proxy: Proxy, tmp_path: Path) -> None:
    files = []
    for number in range(3):
        line = f'{{"kind": "agent", "agent_id": "{number}"}}\n'
        files.append(written(tmp_path / f"{number}.jsonl", line))
    proxy.stop_after("PutItem", 1)
    environ = {"DYNAMODB_ENDPOINT": proxy.endpoint, "QUILL_DEADLINE_SECONDS": "1"}
    finished = run("load", "--json", *files, **environ)
    failed(finished)
    shown = json.loads(finished.stdout)
    assert [row["file"] for row in shown["files"]] == [str(files[0])]
    (error,) = shown["errors"]
    assert error["type"] == "PartialWriteError"
    assert error["reason"].startswith(str(files[1]))


def test_load_invalid_lines_do_not_stop_valid_files(
    quill: Quill, program: Run, tmp_path: Path
) -> None:
    valid = '{"kind": "agent", "agent_id": "%s"}\n'
    invalid = {
        "no_json": ("{\n", "line 2", "JSON"),
        "no_object": ("7\n", "line 2", "object"),
        "kind": ('{"kind": "person"}\n', "line 2", "person"),
        "missing": ('{"kind": "interaction", "interaction_id": "i"}\n', "line 2", "started_at"),
        "unknown": ('{"kind": "agent", "agent_id": "a", "age": 3}\n', "line 2", "age"),
        "absurd": ('{"kind": "agent", "agent_id": 3}\n', "line 2", "agent_id"),
        "naive": (
            '{"kind": "interaction", "interaction_id": "i", "started_at": "2026-11-22"}\n',
            "line 2",
            "time zone",
        ),
        "not_loadable": ('{"kind": "job_run"}\n', "line 2", "job_run"),
        "deep": ("[" * 100_000 + "\n", "line 2", ""),
        "infinite": ('{"kind": "agent", "agent_id": Infinity}\n', "line 2", ""),
    }
    paths = [
        written(tmp_path / f"{name}.jsonl", valid % name + text)
        for name, (text, _, _) in invalid.items()
    ]
    last = written(tmp_path / "last.jsonl", valid % "last")
    message = failed(program("load", *paths, last))
    messages = {
        name: next((line for line in message.splitlines() if f"{name}.jsonl" in line), "")
        for name in invalid
    }
    for name, (_, position, reason) in invalid.items():
        assert position in messages[name], name
        assert reason in messages[name], name
    assert quill.agents.get("last") is not None
