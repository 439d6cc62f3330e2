"""`quill schema` and `quill doctor`: output, changes and confirmation."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from quill_models import Quill, Settings, connect
from tests.local_dynamo import test_command
from tests.local_dynamo.support import botocore_of
from tests.local_dynamo.test_command import PROGRAM, UNREACHABLE, Run, document, failed, succeeded
from tests.local_dynamo.test_schema_repair import (
    add_index,
    change_index,
    delete_index,
    turn_off_ttl,
)

on_the_table = test_command.on_the_table
program = test_command.program
run = test_command.run


@pytest.fixture
def quill(index_settings: Settings) -> Iterator[Quill]:
    """A table with a stream, whose absence would be a difference."""
    with connect(index_settings) as quill:
        quill.schema.apply()
        yield quill
        quill.schema.delete_table()


class TestDiff:
    @pytest.mark.usefixtures("quill")
    def test_diff_equal_table_exits_with_0(self, program: Run) -> None:
        assert "matches the models" in succeeded(program("schema", "diff"))

    def test_diff_changed_table_names_differences_and_remedies(
        self, quill: Quill, run: Run
    ) -> None:
        delete_index(quill)
        turn_off_ttl(quill)
        shown = run("schema", "diff")
        assert (shown.returncode, shown.stderr) == (1, "")
        for words in ("index 'gsi2'", "does not exist", "TTL", "off", "quill schema apply"):
            assert words in shown.stdout
        shown = run("schema", "diff", "--json")
        assert shown.returncode == 1
        found = json.loads(shown.stdout)
        assert (found["equal"], found["table"]) == (False, quill.settings.table)
        assert [each["what"] for each in found["differences"]] == ["index 'gsi2'", "TTL"]
        assert set(found["differences"][0]) == {"what", "declared", "live", "remedy"}
        assert "created the index 'gsi2'" in succeeded(run("schema", "apply"))
        assert document(run("schema", "diff", "--json"))["equal"] is True

    def test_diff_missing_table_exits_with_1(self, run: Run) -> None:
        shown = run("schema", "diff", QUILL_TABLE="not-there")
        assert shown.returncode == 1
        assert "does not exist" in shown.stdout
        assert "quill schema apply" in shown.stdout

    def test_diff_without_server_exits_with_1(self, run: Run) -> None:
        assert UNREACHABLE in failed(run("schema", "diff", DYNAMODB_ENDPOINT=UNREACHABLE))


class TestApply:
    def test_apply_unknown_index_is_reported(self, quill: Quill, run: Run) -> None:
        add_index(quill)
        shown = succeeded(run("schema", "apply"))
        assert "nothing was changed" in shown
        assert "not changed: index 'mine'" in shown
        assert document(run("schema", "apply", "--json"))["left"] == ["index 'mine'"]

    def test_apply_pending_migration_is_reported(self, quill: Quill, run: Run) -> None:
        assert document(run("schema", "apply", "--json"))["pending_migrations"] == []
        assert "migrations" not in succeeded(run("schema", "apply"))
        history = {"pk": {"S": "QUILL"}, "sk": {"S": "MIGRATION#0003"}}
        botocore_of(quill).delete_item(TableName=quill.settings.table, Key=history)
        assert "pending migrations: 0003" in succeeded(run("schema", "apply"))

    def test_apply_changed_index_requires_delete_index(self, quill: Quill, run: Run) -> None:
        change_index(quill)
        assert "--delete-index gsi3" in failed(run("schema", "apply"))
        # Without a terminal there is no confirmation, so nothing is deleted.
        refused = run("schema", "apply", "--delete-index", "gsi3")
        assert refused.returncode == 2
        assert "--yes" in refused.stderr
        assert not quill.schema.diff().is_equal
        done = document(run("schema", "apply", "--delete-index", "gsi3", "--yes", "--json"))
        assert done["done"] == ["deleted the index 'gsi3'", "created the index 'gsi3'"]
        assert (done["left"], quill.schema.diff().is_equal) == ([], True)

    @pytest.mark.parametrize("reply", ["n", "y"])
    def test_apply_delete_index_asks_for_confirmation(
        self, quill: Quill, on_the_table: Mapping[str, str], tmp_path: Path, reply: str
    ) -> None:
        add_index(quill)
        person, terminal = pty.openpty()
        running = subprocess.Popen(
            [*PROGRAM, "schema", "apply", "--delete-index", "mine", "--json"],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, **on_the_table},
            text=True,
        )
        os.write(person, f"{reply}\n".encode())
        out, err = running.communicate(timeout=60)
        os.close(person)
        os.close(terminal)
        assert "Delete mine of the table" in err
        found = json.loads(out)
        if reply == "y":
            assert found["done"] == ["deleted the index 'mine'"]
        else:
            assert [each["reason"] for each in found["errors"]] == [
                "The deletion was not confirmed. Nothing was changed."
            ]
        assert running.returncode == (0 if reply == "y" else 1)
        assert ("deleted the index 'mine'" in out) == (reply == "y")
        assert quill.schema.diff().is_equal == (reply == "y")
        assert "Traceback" not in err


class TestExport:
    @pytest.mark.parametrize("kind", ["cloudformation", "json", "iam"])
    def test_export_format_prints_document(self, run: Run, kind: str) -> None:
        assert document(run("schema", "export", "--format", kind))

    def test_export_needs_no_server(self, run: Run) -> None:
        shown = run("schema", "export", "--format", "terraform", DYNAMODB_ENDPOINT=UNREACHABLE)
        assert 'resource "aws_dynamodb_table"' in succeeded(shown)


class TestDoctor:
    def test_doctor_complete_set_up_exits_with_0(self, quill: Quill, program: Run) -> None:
        shown = succeeded(program("doctor"))
        assert "problem" not in shown
        for words in (quill.settings.table, str(quill.settings.endpoint), "fixed", "TTL", "clock"):
            assert words in shown
        assert not [line for line in shown.splitlines() if line.endswith(" ")]

    @pytest.mark.usefixtures("quill")
    def test_doctor_does_not_print_credentials(self, run: Run) -> None:
        environ = {
            "DATA_BACKEND": "aws",
            "AWS_ACCESS_KEY_ID": "fakeMyKeyId",
            "AWS_SECRET_ACCESS_KEY": "fakeSecretAccessKey",
            "AWS_REGION": "us-west-2",
            "QUILL_PROTECT_TABLE": "false",
        }
        shown = succeeded(run("doctor", **environ))
        assert "from: env" in shown
        assert "fakeMyKeyId" not in shown
        assert "fakeSecret" not in shown

    def test_doctor_problem_names_fix(self, quill: Quill, run: Run) -> None:
        quill.job_runs.start("sync", "2026-11-22", lease=timedelta(microseconds=1))
        delete_index(quill, "gsi3")
        turn_off_ttl(quill)
        shown = run("doctor")
        assert shown.returncode == 1
        for words in (
            "index 'gsi3': does not exist",
            "Run quill schema apply",
            "sync / 2026-11-22",
            "quill jobs",
        ):
            assert words in shown.stdout
        found = json.loads(run("doctor", "--json").stdout)
        problems = {each["about"]: each for each in found["findings"] if each["ok"] is False}
        assert problems.keys() == {"table", "TTL", "stale leases"}
        (migrations,) = (each for each in found["findings"] if each["about"] == "migrations")
        assert (migrations["ok"], migrations["says"]) == (None, "skipped: fix the table first")
        assert all(each["advice"] for each in problems.values())

    def test_doctor_pending_migration_is_problem(self, quill: Quill, run: Run) -> None:
        history = {"pk": {"S": "QUILL"}, "sk": {"S": "MIGRATION#0003"}}
        botocore_of(quill).delete_item(TableName=quill.settings.table, Key=history)
        shown = run("doctor")
        assert shown.returncode == 1
        assert "pending: 0003" in shown.stdout
        assert "quill migrate up" in shown.stdout

    def test_doctor_without_server_skips_checks(self, run: Run) -> None:
        shown = run("doctor", DYNAMODB_ENDPOINT=UNREACHABLE)
        assert (shown.returncode, shown.stderr) == (1, "")
        assert "quill local start" in shown.stdout
        assert shown.stdout.count("skipped") == 5

    def test_doctor_missing_table_is_problem(self, run: Run) -> None:
        shown = run("doctor", QUILL_TABLE="not-there")
        assert shown.returncode == 1
        assert "Run quill schema apply" in shown.stdout

    def test_doctor_clock_skew_is_problem(
        self, quill: Quill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from quill_models.dynamodb import client  # noqa: PLC0415
        from quill_models.health import checks as doctor  # noqa: PLC0415
        from quill_models.values import clock  # noqa: PLC0415

        monkeypatch.setattr(
            client, "system_clock", lambda: clock.system_clock() + timedelta(minutes=7)
        )
        (found,) = (each for each in doctor.examine(quill) if each.about == "clock")
        assert found.ok is False
        assert "ahead of the server's" in found.says
        assert 415 < int(found.says.split()[0]) < 425
        assert "NTP" in found.advice

    def test_doctor_writes_nothing(self, quill: Quill) -> None:
        from quill_models.health.checks import examine  # noqa: PLC0415
        from tests.local_dynamo.support import on_the_wire  # noqa: PLC0415

        botocore_of(quill)
        with on_the_wire(quill) as sent:
            assert all(each.ok for each in examine(quill))
        assert set(sent) == {"DescribeTable", "DescribeTimeToLive", "Query"}
