"""`quill migrate`: output and exit status."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quill_models import Metric, Quill, Settings
from quill_models.models.key_schema import applied_migration
from tests.local_dynamo import test_command
from tests.local_dynamo.old_tables import old_item, old_table, store_all
from tests.local_dynamo.support import NOON, on_a_terminal, on_the_wire, store, stored
from tests.local_dynamo.test_command import PROGRAM, Run, document, failed, succeeded

on_the_table = test_command.on_the_table
program = test_command.program
run = test_command.run

NAMES = ["0001_create_table", "0002_store_number_of_shards", "0003_list_metrics_by_day"]


@pytest.fixture
def quill(quill_settings: Settings) -> Iterator[Quill]:
    """On an old table with some metrics."""
    with old_table(quill_settings) as quill:
        metrics = (
            Metric(scope=f"agent:{n}", name="calls", grain="hour", bucket_start=NOON, value=n)
            for n in range(30)
        )
        store_all(quill, (old_item(quill, metric) for metric in metrics))
        yield quill


def statuses(run: Run) -> dict[str, str]:
    shown = document(run("migrate", "status", "--json"))
    return {each["name"]: each["status"] for each in shown["migrations"]}


def change(quill: Quill, which: int, **attributes: Any) -> None:
    """Change the stored record of an applied migration."""
    record = stored(quill, applied_migration(which))
    assert record is not None
    store(quill, {**record, **attributes})


def test_migrate_up_applies_pending_migrations(quill: Quill, program: Run, run: Run) -> None:
    assert statuses(run) == dict.fromkeys(NAMES, "pending")
    pending = document(run("migrate", "plan", "--json"))
    assert pending["table"] == quill.settings.table
    assert [each["name"] for each in pending["pending"]] == NAMES
    assert [each["number"] for each in pending["pending"]] == [1, 2, 3]
    shown = succeeded(run("migrate", "plan", "--to", "2"))
    assert [name in shown for name in NAMES] == [True, True, False]

    first = document(run("migrate", "up", "--to", "2", "--json"))
    assert [each["name"] for each in first["applied"]] == NAMES[:2]
    finished = program("migrate", "up", "--write-units", "1000")
    assert "list metrics by day" in succeeded(finished)
    # Each migration is reported on standard error when it starts.
    assert finished.stderr == "0003_list_metrics_by_day: list metrics by day\n"
    assert quill.metrics.list_by_day(NOON.date()).count() == 30

    assert statuses(run) == dict.fromkeys(NAMES, "applied")
    known = document(run("migrate", "status", "--json"))["migrations"][2]
    assert known["applied"]["checksum"] == known["checksum"]
    assert known["applied"]["changed"] == 30
    assert known["applied"]["applied_at"].endswith("Z")
    shown = succeeded(run("migrate", "status"))
    assert shown.count("applied") >= 3
    assert document(run("migrate", "plan", "--json"))["pending"] == []
    assert "No migrations are pending" in succeeded(run("migrate", "plan"))
    assert "No migrations were pending" in succeeded(run("migrate", "up"))
    assert document(run("migrate", "up", "--json"))["applied"] == []


def test_migrate_status_new_table_has_all_applied(quill: Quill, run: Run) -> None:
    quill.schema.delete_table()
    assert statuses(run) == dict.fromkeys(NAMES, "pending")
    succeeded(run("schema", "apply"))
    assert statuses(run) == dict.fromkeys(NAMES, "applied")


def test_migrate_changed_or_unknown_migration_exits_with_1(quill: Quill, run: Run) -> None:
    succeeded(run("migrate", "up"))
    change(quill, 2, checksum={"S": "0123456789abcdef"})
    change(
        quill,
        3,
        pk={"S": "QUILL"},
        sk={"S": "MIGRATION#0004"},
        number={"N": "4"},
        name={"S": "0004_later"},
    )
    finished = run("migrate", "status", "--json")
    assert finished.returncode == 1
    found = json.loads(finished.stdout)["migrations"]
    assert [each["status"] for each in found] == ["applied", "changed", "applied", "unknown"]
    assert found[3]["checksum"] is None
    assert "0002_store_number_of_shards is changed" in finished.stderr
    assert [
        (each["type"], each["migration"]) for each in json.loads(finished.stdout)["errors"]
    ] == [("MigrationMismatch", NAMES[1]), ("MigrationMismatch", "0004_later")]
    for command in ("plan", "up"):
        message = failed(run("migrate", command))
        assert "0123456789ab" in message
        assert "0004_later" in message
    message = failed(run("migrate", "up", "--to", "9"))
    assert "migration 9 does not exist" in message


def test_migrate_up_no_wait_names_other_migrator(quill: Quill, run: Run) -> None:
    with quill.job_runs.start("quill-migrate", "table") as other:
        message = failed(run("migrate", "up", "--no-wait"))
    assert other.owner in message
    assert statuses(run) == dict.fromkeys(NAMES, "pending")


def test_migrate_up_on_terminal_shows_bar(
    quill: Quill, on_the_table: dict[str, str], tmp_path: Path
) -> None:
    out, shown = on_a_terminal(
        [*PROGRAM, "migrate", "up", "--json", "--write-units", "30"], tmp_path, on_the_table
    )
    assert len(json.loads(out)["applied"]) == 3
    text = shown.decode()
    assert "0003_list_metrics_by_day: list metrics by day" in text
    assert "of about" in text
    assert "items," in text


def test_migrate_plan_and_status_write_nothing(quill: Quill) -> None:
    with on_the_wire(quill) as sent:
        quill.migrations.status()
        quill.migrations.plan()
    assert set(sent) == {"Query"}
