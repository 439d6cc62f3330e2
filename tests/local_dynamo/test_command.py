"""The command `quill`: common fixtures, errors, settings and the demo.

Most tests run in this process, because a new Python process takes half a second to start.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from quill_models import Quill
from quill_models.command import main
from tests.local_dynamo import tables
from tests.local_dynamo.support import botocore_of, event

SAMPLES = Path(str(files("quill_models"))) / "samples"
DELIVERIES = SAMPLES / "hubspot"
UNREACHABLE = "http://127.0.0.1:1"

Finished = subprocess.CompletedProcess[str]
Run = Callable[..., Finished]

PROGRAM = [sys.executable, "-c", "from quill_models.command import main; main()"]

quill = tables.emptied


@pytest.fixture
def on_the_table(quill: Quill) -> dict[str, str]:
    """The environment variables for the table of the fixture ``quill``."""
    return {
        "DATA_BACKEND": "dynamodb-local",
        "DYNAMODB_ENDPOINT": quill.settings.endpoint or "",
        "QUILL_TABLE": quill.settings.table,
    }


@pytest.fixture
def program(on_the_table: Mapping[str, str], tmp_path: Path) -> Run:
    """Runs ``quill`` as a program, in an empty folder."""

    def call(*arguments: object, given: str = "", **environ: str) -> Finished:
        finished = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            input=given.encode(),
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, **on_the_table, **environ},
            timeout=120,
            check=False,
        )
        return subprocess.CompletedProcess(
            finished.args, finished.returncode, finished.stdout.decode(), finished.stderr.decode()
        )

    return call


@pytest.fixture
def run(on_the_table: Mapping[str, str], tmp_path: Path) -> Run:
    """Runs the entry point in this process, with streams and environment like a program."""

    def call(*arguments: object, given: str = "", **environ: str) -> Finished:
        streams = {
            name: io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for name in ("stdout", "stderr")
        }
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(tmp_path)
            for name, value in {**on_the_table, **environ}.items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["quill", *map(str, arguments)])
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
            for name, stream in streams.items():
                patched.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as left:
                main()
        outputs = []
        for stream in streams.values():
            stream.flush()
            outputs.append(stream.buffer.getvalue().decode())
        status = left.value.code or 0
        assert isinstance(status, int)
        return subprocess.CompletedProcess(sys.argv, status, *outputs)

    return call


def succeeded(finished: Finished) -> str:
    assert finished.returncode == 0, finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stdout


def document(finished: Finished) -> Any:
    """The one JSON document on standard output."""
    succeeded(finished)
    return json.loads(finished.stdout)


def failed(finished: Finished) -> str:
    """The message on standard error."""
    assert finished.returncode == 1, finished.stdout
    assert "Traceback" not in finished.stderr
    assert finished.stderr.strip()
    return finished.stderr


def written(path: Path, content: Any) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


class TestSchema:
    def test_schema_apply_twice_changes_nothing(self, quill: Quill, program: Run, run: Run) -> None:
        quill.schema.delete_table()
        first = document(program("schema", "apply", "--json"))
        assert first["table"] == quill.settings.table
        assert first["done"]
        assert document(run("schema", "apply", "--json"))["done"] == []
        assert quill.settings.table in succeeded(run("schema", "apply"))


class TestErrors:
    def test_command_without_server_names_ways_to_start_one(self, program: Run, run: Run) -> None:
        for command, arguments in (
            (program, ("schema", "apply")),
            (run, ("ingest", "hubspot", DELIVERIES / "test_button.json")),
        ):
            message = failed(command(*arguments, DYNAMODB_ENDPOINT=UNREACHABLE))
            for text in (UNREACHABLE, "docker compose up", "quill local start"):
                assert text in message
            assert message.count("DYNAMODB_ENDPOINT") >= 2

    def test_command_without_table_names_schema_apply(self, run: Run) -> None:
        for arguments in (
            ("ingest", "hubspot", DELIVERIES / "test_button.json"),
            ("load", SAMPLES / "agents.jsonl"),
            ("list", "agents"),
        ):
            message = failed(run(*arguments, QUILL_TABLE="quill-not-there"))
            assert "quill schema apply" in message
            assert "quill-not-there" in message

    def test_command_invalid_setting_exits_with_1(self, run: Run) -> None:
        assert "DATA_BACKEND" in failed(run("list", "agents", DATA_BACKEND="mysql"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("ingest", "hubspot"),
        ("ingest", "hubspot", "not-there.json"),
        ("ingest", "hubspot", "."),
        ("load",),
        ("list", "people"),
        ("list", "agents", "--limit", "0"),
        ("list", "metrics"),
        ("list", "agents", "--team", "a", "--status", "active"),
    ],
)
def test_command_wrong_usage_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    finished = run(*arguments)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr
    assert "Traceback" not in finished.stderr


def test_command_reads_settings_from_env_file(quill: Quill, tmp_path: Path) -> None:
    quill.webhook_events.record(event())
    lines = f"DYNAMODB_ENDPOINT={quill.settings.endpoint}\nQUILL_TABLE={quill.settings.table}\n"
    written(tmp_path / ".env", lines)
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DYNAMODB_ENDPOINT", "QUILL_TABLE", "DATA_BACKEND"}
    }
    finished = subprocess.run(
        [*PROGRAM, "list", "webhook-events", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environ,
        timeout=60,
        check=False,
    )
    assert len(document(finished)["items"]) == 1


def test_demo_deletes_its_table(program: Run, quill: Quill, tmp_path: Path) -> None:
    def tables() -> set[str]:
        return set(botocore_of(quill).list_tables()["TableNames"])

    before = tables()
    shown = succeeded(program("demo"))
    assert "nothing was counted twice" in shown
    assert "Björn Lund" in shown
    # A key of an index.
    assert "AGENT_STATUS#active" in shown
    assert {name for name in tables() - before if name.startswith(quill.settings.table)} == set()
    assert list(tmp_path.iterdir()) == []


def test_demo_json_prints_one_document(run: Run) -> None:
    shown = document(run("demo", "--json"))
    assert shown["stored"] == sum(each["created"] for each in shown["ingested"]) == 13
    assert {each["created"] for each in shown["loaded"] if each["time"] == "second"} == {0}
