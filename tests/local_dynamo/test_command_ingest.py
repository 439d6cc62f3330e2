"""`quill ingest hubspot`: files, retries and invalid deliveries."""

import json
from pathlib import Path
from typing import Any

from quill_models import Quill, hubspot
from tests.local_dynamo import tables, test_command
from tests.local_dynamo.test_command import DELIVERIES, Run, document, failed, succeeded, written

quill = tables.emptied
on_the_table = test_command.on_the_table
program = test_command.program
run = test_command.run


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


def stored_events(quill: Quill) -> int:
    return quill.webhook_events.list_by_status(hubspot.SOURCE, "pending").count()


def test_ingest_samples_and_retries_counts_duplicates(quill: Quill, program: Run, run: Run) -> None:
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


def test_ingest_test_button_events_differ_by_time(run: Run, tmp_path: Path) -> None:
    (press,) = json.loads((DELIVERIES / "test_button.json").read_text())
    presses = [
        written(tmp_path / f"{n}.json", [{**press, "occurredAt": press["occurredAt"] + n}])
        for n in range(3)
    ]
    total = document(run("ingest", "hubspot", "--json", *presses, presses[0]))["total"]
    assert total == {"events": 4, "created": 3, "duplicate": 1, "conflict": 0}


def test_ingest_conflict_is_reported_beside_table(run: Run, tmp_path: Path) -> None:
    one = written(tmp_path / "one.json", [change()])
    two = written(tmp_path / "two.json", [change(propertyValue="Bea"), change(eventId=2)])
    finished = run("ingest", "hubspot", one, two)
    assert "one.json" in succeeded(finished)
    assert "total" in finished.stdout
    # Same identity, other value: the stored event is kept.
    assert "conflict: event hubspot/1." in finished.stderr


def test_ingest_stdin_accepts_json_lines_and_json(quill: Quill, program: Run, run: Run) -> None:
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


def test_ingest_repeated_delivery_in_file_creates_once(run: Run, tmp_path: Path) -> None:
    lines = "\n".join(json.dumps([change(attemptNumber=n)]) for n in range(40))
    path = written(tmp_path / "log.jsonl", lines)
    total = document(run("ingest", "hubspot", "--json", path))["total"]
    assert total == {"events": 40, "created": 1, "duplicate": 39, "conflict": 0}


def test_ingest_invalid_files_do_not_stop_valid_ones(
    quill: Quill, run: Run, tmp_path: Path
) -> None:
    invalid: dict[str, tuple[Any, str, str]] = {
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
    paths = [written(tmp_path / f"{name}.json", invalid[name][0]) for name in invalid]
    valid = [written(tmp_path / f"valid{n}.json", [change(eventId=n, objectId=n)]) for n in (1, 2)]
    finished = run("ingest", "hubspot", valid[0], *paths, valid[1])
    message = failed(finished)
    messages = {
        name: next((line for line in message.splitlines() if f"{name}.json" in line), "")
        for name in invalid
    }
    for name, (_, position, reason) in invalid.items():
        assert position in messages[name], name
        assert reason in messages[name], name
    about = quill.webhook_events.list_by_object
    for number in (1, 2):
        assert about("hubspot", "contact", str(number)).count() == 1
    assert "valid1.json" in finished.stdout
    failures = list(quill.job_runs.list_by_status("failed"))
    assert len(failures) == len(invalid)

    finished = run("ingest", "hubspot", "--json", paths[0], valid[0])
    failed(finished)
    shown = json.loads(finished.stdout)
    assert [row["file"] for row in shown["files"]] == [str(valid[0])]
    assert shown["errors"][0]["file"] == str(paths[0])
    assert shown["errors"][0]["position"].startswith("line 1")


def test_ingest_file_name_is_not_markup(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path / ":bug: [red].json", "x")
    assert ":bug: [red].json" in failed(run("ingest", "hubspot", path))


def test_ingest_unpaired_surrogate_is_stored(program: Run, run: Run, tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", json.dumps([change(propertyValue="\ud83d")]))
    assert document(run("ingest", "hubspot", "--json", path))["total"]["created"] == 1
    assert document(run("ingest", "hubspot", "--json", path))["total"]["duplicate"] == 1
    (item,) = document(program("list", "webhook-events", "--json"))["items"]
    assert item["payload"]["propertyValue"] == "\ud83d"
