"""`quill schema` and `quill doctor`: what they show, change, and ask before."""

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
from tests.local_dynamo.test_schema_mend import add_index, change_index, delete_index, turn_off_ttl

on_the_table = test_command.on_the_table
program = test_command.program
run = test_command.run


@pytest.fixture
def quill(index_settings: Settings) -> Iterator[Quill]:
    """With a stream, as `quill schema diff` would name a table without."""
    with connect(index_settings) as quill:
        quill.schema.apply()
        yield quill
        quill.schema.delete_table()


class TestDiff:
    @pytest.mark.usefixtures("quill")
    def test_equal(self, program: Run) -> None:
        assert "is what the models declare" in succeeded(program("schema", "diff"))

    def test_what_differs_and_what_mends_it(self, quill: Quill, run: Run) -> None:
        delete_index(quill)
        turn_off_ttl(quill)
        shown = run("schema", "diff")
        assert (shown.returncode, shown.stderr) == (1, "")
        for words in ("index 'gsi2'", "does not exist", "TTL", "off", "quill schema apply"):
            assert words in shown.stdout
        found = run("schema", "diff", "--json")
        assert found.returncode == 1
        said = json.loads(found.stdout)
        assert (said["equal"], said["table"]) == (False, quill.settings.table)
        assert [each["what"] for each in said["differences"]] == ["index 'gsi2'", "TTL"]
        assert set(said["differences"][0]) == {"what", "declared", "live", "remedy"}
        assert "created the index 'gsi2'" in succeeded(run("schema", "apply"))
        assert document(run("schema", "diff", "--json"))["equal"] is True

    def test_there_is_no_table(self, run: Run) -> None:
        shown = run("schema", "diff", QUILL_TABLE="not-there")
        assert shown.returncode == 1
        assert "does not exist" in shown.stdout
        assert "quill schema apply" in shown.stdout

    def test_there_is_no_server(self, run: Run) -> None:
        assert UNREACHABLE in failed(run("schema", "diff", DYNAMODB_ENDPOINT=UNREACHABLE))


class TestApply:
    def test_what_is_left_is_said(self, quill: Quill, run: Run) -> None:
        add_index(quill)
        shown = succeeded(run("schema", "apply"))
        assert "nothing was changed" in shown
        assert "left alone: index 'mine'" in shown
        assert document(run("schema", "apply", "--json"))["left"] == ["index 'mine'"]

    def test_migrations_that_are_pending_are_named(self, quill: Quill, run: Run) -> None:
        assert document(run("schema", "apply", "--json"))["pending_migrations"] == []
        assert "migrations" not in succeeded(run("schema", "apply"))
        history = {"pk": {"S": "QUILL"}, "sk": {"S": "MIGRATION#0003"}}
        botocore_of(quill).delete_item(TableName=quill.settings.table, Key=history)
        assert "pending migrations: 0003" in succeeded(run("schema", "apply"))

    def test_an_index_that_must_be_deleted(self, quill: Quill, run: Run) -> None:
        change_index(quill)
        assert "--delete-index gsi3" in failed(run("schema", "apply"))
        # Where nobody can be asked, nothing is deleted.
        refused = run("schema", "apply", "--delete-index", "gsi3")
        assert refused.returncode == 2
        assert "--yes" in refused.stderr
        assert not quill.schema.diff().is_equal
        done = document(run("schema", "apply", "--delete-index", "gsi3", "--yes", "--json"))
        assert done["done"] == ["deleted the index 'gsi3'", "created the index 'gsi3'"]
        assert (done["left"], quill.schema.diff().is_equal) == ([], True)

    @pytest.mark.parametrize("answer", ["n", "y"])
    def test_a_person_is_asked(
        self, quill: Quill, on_the_table: Mapping[str, str], tmp_path: Path, answer: str
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
        os.write(person, f"{answer}\n".encode())
        out, err = running.communicate(timeout=60)
        os.close(person)
        os.close(terminal)
        assert "Delete mine of the table" in err
        said = json.loads(out)
        if answer == "y":
            assert said["done"] == ["deleted the index 'mine'"]
        else:
            assert [each["reason"] for each in said["errors"]] == [
                "Nothing was changed, as the answer was no."
            ]
        assert running.returncode == (0 if answer == "y" else 1)
        assert ("deleted the index 'mine'" in out) == (answer == "y")
        assert quill.schema.diff().is_equal == (answer == "y")
        assert "Traceback" not in err


class TestExport:
    @pytest.mark.parametrize("kind", ["cloudformation", "json", "iam"])
    def test_json(self, run: Run, kind: str) -> None:
        assert document(run("schema", "export", "--format", kind))

    def test_needs_no_server(self, run: Run) -> None:
        shown = run("schema", "export", "--format", "terraform", DYNAMODB_ENDPOINT=UNREACHABLE)
        assert 'resource "aws_dynamodb_table"' in succeeded(shown)


class TestDoctor:
    def test_all_is_ok(self, quill: Quill, program: Run) -> None:
        shown = succeeded(program("doctor"))
        assert "problem" not in shown
        for words in (quill.settings.table, str(quill.settings.endpoint), "fixed", "TTL", "clock"):
            assert words in shown
        assert not [line for line in shown.splitlines() if line.endswith(" ")]

    @pytest.mark.usefixtures("quill")
    def test_no_secret_is_shown(self, run: Run) -> None:
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

    def test_each_problem_says_what_to_do(self, quill: Quill, run: Run) -> None:
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
        said = json.loads(run("doctor", "--json").stdout)
        problems = {each["about"]: each for each in said["findings"] if each["ok"] is False}
        assert problems.keys() == {"table", "TTL", "stale leases"}
        (migrations,) = (each for each in said["findings"] if each["about"] == "migrations")
        assert (migrations["ok"], migrations["says"]) == (None, "not looked at: first the table")
        assert all(each["advice"] for each in problems.values())

    def test_migrations_that_are_pending(self, quill: Quill, run: Run) -> None:
        history = {"pk": {"S": "QUILL"}, "sk": {"S": "MIGRATION#0003"}}
        botocore_of(quill).delete_item(TableName=quill.settings.table, Key=history)
        shown = run("doctor")
        assert shown.returncode == 1
        assert "pending: 0003" in shown.stdout
        assert "quill migrate up" in shown.stdout

    def test_there_is_no_server(self, run: Run) -> None:
        shown = run("doctor", DYNAMODB_ENDPOINT=UNREACHABLE)
        assert (shown.returncode, shown.stderr) == (1, "")
        assert "quill local start" in shown.stdout
        assert shown.stdout.count("not looked at") == 5

    def test_there_is_no_table(self, run: Run) -> None:
        shown = run("doctor", QUILL_TABLE="not-there")
        assert shown.returncode == 1
        assert "Run quill schema apply" in shown.stdout

    def test_a_clock_that_is_wrong(self, quill: Quill, monkeypatch: pytest.MonkeyPatch) -> None:
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

    def test_it_writes_nothing(self, quill: Quill) -> None:
        from quill_models.health.checks import examine  # noqa: PLC0415
        from tests.local_dynamo.support import on_the_wire  # noqa: PLC0415

        botocore_of(quill)
        with on_the_wire(quill) as sent:
            assert all(each.ok for each in examine(quill))
        assert set(sent) == {"DescribeTable", "DescribeTimeToLive", "Query"}
