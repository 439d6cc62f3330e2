"""The command: each use of it once as people run it, as a program; the rest in this process.

A program takes Python half a second to load, which is most of the time that a command needs.
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

from quill_models import Quill, hubspot
from quill_models.command import main
from tests.local_dynamo import tables
from tests.local_dynamo.proxy import Proxy
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
    """The settings that lead to the table of the fixture ``quill``."""
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
    """The same in this process: the program's entry point, given all that a program is given."""

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
        said = []
        for stream in streams.values():
            stream.flush()
            said.append(stream.buffer.getvalue().decode())
        status = left.value.code or 0
        assert isinstance(status, int)
        return subprocess.CompletedProcess(sys.argv, status, *said)

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


def change(**fields: Any) -> dict[str, Any]:
    return {
        "eventId": 1,
        "subscriptionId": 2,
        "portalId": 3,
        "appId": 4,
        "occurredAt": 1765043528476,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": 847297356,
        "propertyName": "firstname",
        "propertyValue": "Ada",
        **fields,
    }


def written(path: Path, content: Any) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def stored_events(quill: Quill) -> int:
    return quill.webhook_events.list_by_status(hubspot.SOURCE, "pending").count()


class TestSchema:
    def test_apply_twice(self, quill: Quill, program: Run, run: Run) -> None:
        quill.schema.delete_table()
        first = document(program("schema", "apply", "--json"))
        assert first["table"] == quill.settings.table
        assert first["done"]
        assert document(run("schema", "apply", "--json"))["done"] == []
        assert quill.settings.table in succeeded(run("schema", "apply"))


class TestIngest:
    def test_samples_and_their_retries(self, quill: Quill, program: Run, run: Run) -> None:
        originals = [DELIVERIES / name for name in ("property_changes.json", "mixed_objects.json")]
        retries = [path.with_name(f"retry_of_{path.name}") for path in originals]
        first = document(program("ingest", "hubspot", "--json", *originals))
        assert set(first) == {"files", "total"}
        for row, path in zip(first["files"], originals, strict=True):
            assert set(row) == {"file", "events", "created", "duplicate", "conflict", "job_run"}
            assert row["file"] == str(path)
            run_of = quill.job_runs.get("ingest-hubspot", row["job_run"])
            assert run_of is not None
            assert run_of.status == "succeeded"
            assert run_of.stats["created"] == row["events"]
        assert first["total"] == {"events": 12, "created": 12, "duplicate": 0, "conflict": 0}
        for again in (retries, originals):
            total = document(run("ingest", "hubspot", "--json", *again))["total"]
            assert total == {"events": 12, "created": 0, "duplicate": 12, "conflict": 0}
        assert stored_events(quill) == 12

    def test_presses_of_the_test_button_differ_in_their_time(
        self, run: Run, tmp_path: Path
    ) -> None:
        (press,) = json.loads((DELIVERIES / "test_button.json").read_text())
        presses = [
            written(tmp_path / f"{n}.json", [{**press, "occurredAt": press["occurredAt"] + n}])
            for n in range(3)
        ]
        total = document(run("ingest", "hubspot", "--json", *presses, presses[0]))["total"]
        assert total == {"events": 4, "created": 3, "duplicate": 1, "conflict": 0}

    def test_a_table_for_people(self, run: Run, tmp_path: Path) -> None:
        one = written(tmp_path / "one.json", [change()])
        two = written(tmp_path / "two.json", [change(propertyValue="Bea"), change(eventId=2)])
        finished = run("ingest", "hubspot", one, two)
        assert "one.json" in succeeded(finished)
        assert "total" in finished.stdout
        # Same identity, other value: what is stored stays, and is named.
        assert "conflict: 1." in finished.stderr

    def test_standard_input_and_json_lines(self, quill: Quill, program: Run, run: Run) -> None:
        lines = "\n".join(
            [json.dumps(change(eventId=1)), "", json.dumps([change(eventId=2), change(eventId=3)])]
        )
        found = document(program("ingest", "hubspot", "--json", "-", given=lines + "\n"))
        assert found["files"][0]["file"] == "-"
        assert found["total"]["created"] == 3
        pretty = json.dumps([change(eventId=4), change(eventId=1)], indent=2)
        found = document(run("ingest", "hubspot", "--json", "-", given=pretty))
        assert (found["total"]["created"], found["total"]["duplicate"]) == (1, 1)
        assert stored_events(quill) == 4

    def test_a_repeated_delivery_of_many_events_in_one_file(self, run: Run, tmp_path: Path) -> None:
        lines = "\n".join(json.dumps([change(attemptNumber=n)]) for n in range(40))
        path = written(tmp_path / "log.jsonl", lines)
        total = document(run("ingest", "hubspot", "--json", path))["total"]
        assert total == {"events": 40, "created": 1, "duplicate": 39, "conflict": 0}

    def test_bad_files_and_the_good_ones_beside_them(
        self, quill: Quill, run: Run, tmp_path: Path
    ) -> None:
        bad: dict[str, tuple[Any, str, str]] = {
            "no_json": ("[{]", "line 1, column", "JSON"),
            "no_array": ("7", "", "array"),
            "text": (b"\xff\xfe\x00", "", "UTF-8"),
            "no_object": ([change(eventId=90), 5], "event 1", "object"),
            "missing": ([change(eventId=91), {"eventId": 1}], "event 1", "missing"),
            "no_event_id": ([{**change(), "eventId": None}], "event 0", "eventId"),
            "absurd_time": ([change(occurredAt="soon")], "event 0", "occurredAt"),
            "absurd_past": ([change(occurredAt=-1)], "event 0", "occurredAt"),
            "cut_off": (json.dumps([change()])[:-40], "line 1", "JSON"),
            "nan": ('[{"eventId": NaN}]', "line 1", "NaN"),
            "large": ([change(text="x" * 420_000)], "", "400 KB"),
        }
        paths = [written(tmp_path / f"{name}.json", bad[name][0]) for name in bad]
        good = [
            written(tmp_path / f"good{n}.json", [change(eventId=n, objectId=n)]) for n in (1, 2)
        ]
        finished = run("ingest", "hubspot", good[0], *paths, good[1])
        message = failed(finished)
        told = {
            name: next((line for line in message.splitlines() if f"{name}.json" in line), "")
            for name in bad
        }
        for name, (_, position, reason) in bad.items():
            assert position in told[name], name
            assert reason in told[name], name
        about = quill.webhook_events.list_by_object
        for number in (1, 2):
            assert about("hubspot", "contact", str(number)).count() == 1
        assert "good1.json" in finished.stdout
        failures = list(quill.job_runs.list_by_status("failed"))
        assert len(failures) == len(bad)

        finished = run("ingest", "hubspot", "--json", paths[0], good[0])
        failed(finished)
        shown = json.loads(finished.stdout)
        assert [row["file"] for row in shown["files"]] == [str(good[0])]
        assert shown["errors"][0]["file"] == str(paths[0])
        assert shown["errors"][0]["position"].startswith("line 1")

    def test_a_file_is_named_as_it_is(self, run: Run, tmp_path: Path) -> None:
        path = written(tmp_path / ":bug: [red].json", "x")
        assert ":bug: [red].json" in failed(run("ingest", "hubspot", path))

    def test_an_unpaired_surrogate(self, program: Run, run: Run, tmp_path: Path) -> None:
        path = written(tmp_path / "a.json", json.dumps([change(propertyValue="\ud83d")]))
        assert document(run("ingest", "hubspot", "--json", path))["total"]["created"] == 1
        assert document(run("ingest", "hubspot", "--json", path))["total"]["duplicate"] == 1
        (item,) = document(program("list", "webhook-events", "--json"))["items"]
        assert item["payload"]["propertyValue"] == "\ud83d"


class TestLoadAndList:
    @pytest.fixture
    def filled(self, run: Run) -> None:
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
    def test_every_kind(self, program: Run, run: Run) -> None:
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
    def test_some_of_them(self, run: Run) -> None:
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
        across = document(
            run("list", "metrics", "--name", "calls", "--bucket", "2026-11-20", "--json")
        )
        assert [item["scope"] for item in across["items"]] == ["agent:ada", "team:north"]
        day = document(run("list", "metrics", "--day", "2026-11-20", "--json"))
        assert {item["bucket_start"][:10] for item in day["items"]} == {"2026-11-20"}
        assert len(day["items"]) >= 2

    def test_nothing(self, run: Run) -> None:
        finished = run("list", "agents", "--json")
        assert document(finished) == {"items": [], "more": False}
        for arguments, shown in {
            ("agents",): "No agents.",
            ("interactions",): "No interactions in the last 7 days.",
            ("interactions", "--agent", "ada"): "No interactions.",
            ("metrics", "--day", "2026-11-20"): "No metrics.",
            ("job-runs",): "No job runs.",
            ("webhook-events",): "No webhook events of 'hubspot'. --source names another one.",
            ("webhook-events", "--source", "desk", "--status", "dead"): (
                "No dead webhook events of 'desk'. --source names another one."
            ),
        }.items():
            assert succeeded(run("list", *arguments)) == f"{shown}\n"

    def test_standard_input(self, run: Run) -> None:
        given = '\ufeff{"kind": "agent", "agent_id": "7"}\r\n\r\n{"kind": "agent", "agent_id": "8"}'
        shown = document(run("load", "-", "--json", given=given))
        assert [(row["file"], row["created"]) for row in shown["files"]] == [("-", 2)]
        message = failed(run("load", "-", given='{"kind": "person"}'))
        assert message.startswith("Error: -: line 1: kind is 'person'")

    def test_what_was_done_is_shown_where_the_table_stops_answering(
        self, run: Run, proxy: Proxy, tmp_path: Path
    ) -> None:
        files = []
        for number in range(3):
            line = f'{{"kind": "agent", "agent_id": "{number}"}}\n'
            files.append(written(tmp_path / f"{number}.jsonl", line))
        proxy.go_away_after("PutItem", 1)
        environ = {"DYNAMODB_ENDPOINT": proxy.endpoint, "QUILL_DEADLINE_SECONDS": "1"}
        finished = run("load", "--json", *files, **environ)
        failed(finished)
        shown = json.loads(finished.stdout)
        assert [row["file"] for row in shown["files"]] == [str(files[0])]
        (error,) = shown["errors"]
        assert error["type"] == "PartialWriteError"
        assert error["reason"].startswith(str(files[1]))

    def test_bad_lines(self, quill: Quill, program: Run, tmp_path: Path) -> None:
        good = '{"kind": "agent", "agent_id": "%s"}\n'
        bad = {
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
            written(tmp_path / f"{name}.jsonl", good % name + text)
            for name, (text, _, _) in bad.items()
        ]
        last = written(tmp_path / "last.jsonl", good % "last")
        message = failed(program("load", *paths, last))
        told = {
            name: next((line for line in message.splitlines() if f"{name}.jsonl" in line), "")
            for name in bad
        }
        for name, (_, position, reason) in bad.items():
            assert position in told[name], name
            assert reason in told[name], name
        assert quill.agents.get("last") is not None


class TestNoServerNoTable:
    def test_no_server(self, program: Run, run: Run) -> None:
        for command, arguments in (
            (program, ("schema", "apply")),
            (run, ("ingest", "hubspot", DELIVERIES / "test_button.json")),
        ):
            message = failed(command(*arguments, DYNAMODB_ENDPOINT=UNREACHABLE))
            for said in (UNREACHABLE, "docker compose up", "quill local start"):
                assert said in message
            assert message.count("DYNAMODB_ENDPOINT") >= 2

    def test_no_table(self, run: Run) -> None:
        for arguments in (
            ("ingest", "hubspot", DELIVERIES / "test_button.json"),
            ("load", SAMPLES / "agents.jsonl"),
            ("list", "agents"),
        ):
            message = failed(run(*arguments, QUILL_TABLE="quill-not-there"))
            assert "quill schema apply" in message
            assert "quill-not-there" in message

    def test_a_wrong_setting(self, run: Run) -> None:
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
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    finished = run(*arguments)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr
    assert "Traceback" not in finished.stderr


def test_settings_from_the_file_beside(quill: Quill, tmp_path: Path) -> None:
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


def test_demo_leaves_no_table_behind(program: Run, quill: Quill, tmp_path: Path) -> None:
    def tables() -> set[str]:
        return set(botocore_of(quill).list_tables()["TableNames"])

    before = tables()
    shown = succeeded(program("demo"))
    assert "nothing was counted twice" in shown
    assert "Björn Lund" in shown
    # The keys of the indexes are shown, too.
    assert "AGENT_STATUS#active" in shown
    assert {name for name in tables() - before if name.startswith(quill.settings.table)} == set()
    assert list(tmp_path.iterdir()) == []


def test_the_demo_for_a_program(run: Run) -> None:
    shown = document(run("demo", "--json"))
    assert shown["stored"] == sum(each["created"] for each in shown["ingested"]) == 13
    assert {each["created"] for each in shown["loaded"] if each["time"] == "second"} == {0}
