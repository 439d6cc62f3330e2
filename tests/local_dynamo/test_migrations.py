"""Migrations of a new or an old table, applied by one migrator at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from quill_models import AlreadyRunning, JobStatus, LeaseLost, Metric, Quill, Settings, connect
from quill_models.dynamodb.shards import TABLE_SETTINGS
from quill_models.errors import InvalidMigrations, InvalidValue, MigrationFailed, MigrationMismatch
from quill_models.migrations import Listener
from quill_models.models.key_schema import applied_migration
from tests.local_dynamo.old_tables import (
    ADDED,
    migrations_of,
    old_item,
    old_table,
    store_all,
)
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    NOON,
    SECOND,
    on_the_wire,
    race,
    scanned,
    stored,
    wait_until,
)
from tests.unit.migrations.files import numbered, write_migration

READS = {"Query", "GetItem", "DescribeTable"}
# Counts in the table how often each migration ran.
COUNTING = """
def up(step):
    step.request(
        "update_item",
        Key={"pk": {"S": "COUNTING"}, "sk": {"S": "%s"}},
        UpdateExpression="ADD times :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    %s
"""


@pytest.fixture
def bare(quill_settings: Settings) -> Iterator[Quill]:
    """A connection whose table does not exist yet."""
    with connect(quill_settings) as quill:
        yield quill
        quill.schema.delete_table()


@pytest.fixture
def old(quill_settings: Settings) -> Iterator[Quill]:
    with old_table(quill_settings) as quill:
        yield quill


def run_counts(quill: Quill) -> dict[str, int]:
    """Return how often each counting migration ran."""
    return {item.key.sk: int(item["times"]) for item in quill.store.query("COUNTING")}


def states(found: list[Any]) -> list[str]:
    return [each.state.value for each in found]


def write_counting(folder: Path, number: int, then: str = "pass") -> Path:
    name = f"{number:04d}_m{number}"
    return write_migration(folder, name, COUNTING % (name, then))


class TestNewTable:
    def test_up_no_table_gives_the_declared_table(self, bare: Quill) -> None:
        for _ in range(2):
            bare.migrations.up()
        assert bare.schema.diff().is_equal
        settings = stored(bare, TABLE_SETTINGS)
        assert bare.schema.apply() == []
        bare.schema.delete_table()
        bare.schema.apply()
        declared = stored(bare, TABLE_SETTINGS)
        assert settings is not None
        assert declared is not None
        assert {**settings, "write_token": None} == {**declared, "write_token": None}

    def test_up_records_each_migration(self, bare: Quill) -> None:
        reported: list[str] = []
        assert states(bare.migrations.status()) == ["pending"] * 3
        done = bare.migrations.up(listener=Listener(reported.append))
        assert [each.number for each in done] == [1, 2, 3]
        found = bare.migrations.status()
        assert states(found) == ["applied"] * 3
        assert [each.applied for each in found] == done
        run = bare.job_runs.get("quill-migrate", "table")
        assert run is not None
        assert run.status is JobStatus.SUCCEEDED
        assert {(each.owner, each.fencing_token) for each in done} == {
            (run.owner, run.fencing_token)
        }
        assert run.stats == {"applied": [each.name for each in done]}
        for each in done:
            assert f"{each.name}: {each.description}" in reported
            record = stored(bare, applied_migration(each.number))
            assert record is not None
            assert "ttl" not in record

    def test_status_new_table_has_all_applied(self, bare: Quill) -> None:
        bare.schema.apply()
        found = bare.migrations.status()
        assert states(found) == ["applied"] * 3
        assert {each.applied.fencing_token for each in found if each.applied} == {None}
        with on_the_wire(bare) as sent:
            assert bare.migrations.up() == []
        assert sent == ["Query"]

    def test_schema_apply_old_table_records_no_migration(self, old: Quill) -> None:
        old.schema.apply()
        assert states(old.migrations.status()) == ["pending"] * 3


class TestOldTable:
    def test_up_old_metrics_lists_them_by_day(self, old: Quill) -> None:
        metrics = [
            Metric(scope=f"agent:{n}", name="calls", grain="day", bucket_start=day, value=n)
            for n in range(60)
            for day in (NOON.replace(hour=0), NOON.replace(hour=0) + DAY)
        ]
        before = [old_item(old, metric) for metric in metrics]
        store_all(old, before)
        assert list(old.metrics.list_by_day(NOON.date())) == []
        *_, last = old.migrations.up()
        assert (last.name, last.changed) == ("0003_list_metrics_by_day", 120)
        assert last.seen >= 120
        assert sorted(old.metrics.list_by_day(NOON.date()), key=lambda m: m.value) == metrics[::2]
        assert old.metrics.list_by_day((NOON + DAY).date()).count() == 60
        # Only the attributes of the list are new.
        after = scanned(old, "metric")
        assert all(name in item for item in after for name in ADDED)
        without = [
            {name: value for name, value in item.items() if name not in ADDED} for item in after
        ]
        assert sorted(without, key=repr) == sorted(before, key=repr)

    def test_up_grown_shards_keeps_their_number(self, old: Quill) -> None:
        old.schema.grow_shards(9)
        before = stored(old, TABLE_SETTINGS)
        old.migrations.up()
        assert stored(old, TABLE_SETTINGS) == before

    def test_up_to_number_applies_up_to_it(self, old: Quill) -> None:
        assert [each.number for each in old.migrations.plan(2)] == [1, 2]
        assert [each.number for each in old.migrations.up(to=2)] == [1, 2]
        assert states(old.migrations.status()) == ["applied", "applied", "pending"]
        assert old.migrations.up(to=1) == []
        assert [each.number for each in old.migrations.up()] == [3]
        with pytest.raises(InvalidValue, match="units a second"):
            old.migrations.up(write_units=0)
        for number in (0, 4):
            with pytest.raises(InvalidValue, match=f"migration {number} does not exist"):
                old.migrations.up(to=number)


def test_status_and_plan_write_nothing(bare: Quill, tmp_path: Path) -> None:
    own = migrations_of(bare, numbered(tmp_path, 3))
    with on_the_wire(bare) as sent:
        assert [each.number for each in own.plan()] == [1, 2, 3]
    assert set(sent) <= READS
    bare.schema.apply()
    with on_the_wire(bare) as sent:
        own.status()
        with pytest.raises(MigrationMismatch):
            own.plan()
    assert set(sent) <= READS


class TestErrors:
    def test_up_changed_file_raises_migration_mismatch(self, old: Quill, tmp_path: Path) -> None:
        own = migrations_of(old, tmp_path)
        for number in (1, 2):
            write_counting(tmp_path, number)
        own.up()
        first = own.status()[0]
        write_counting(tmp_path, 1, "return 7")
        write_counting(tmp_path, 3)
        own = migrations_of(old, tmp_path)
        changed = own.status()
        assert states(changed) == ["changed", "applied", "pending"]
        assert changed[0].applied is not None
        assert changed[0].applied.checksum == first.checksum != changed[0].checksum
        for call in (own.plan, own.up):
            with pytest.raises(MigrationMismatch) as raised:
                call()
            for text in ("0001_m1", str(first.checksum)[:12], str(changed[0].checksum)[:12]):
                assert text in str(raised.value)
        assert run_counts(old) == {"0001_m1": 1, "0002_m2": 1}

    def test_up_newer_table_raises_migration_mismatch(self, old: Quill, tmp_path: Path) -> None:
        own = migrations_of(old, numbered(tmp_path, 3))
        own.up()
        (tmp_path / "0003_m3.py").unlink()
        found = own.status()
        assert states(found) == ["applied", "applied", "unknown"]
        assert (found[2].name, found[2].checksum) == ("0003_m3", None)
        with pytest.raises(MigrationMismatch, match=r"0003_m3.*older than the table"):
            own.up()

    def test_up_missing_number_raises_invalid_migrations(self, old: Quill, tmp_path: Path) -> None:
        own = migrations_of(old, numbered(tmp_path, 3))
        (tmp_path / "0002_m2.py").unlink()
        with on_the_wire(old) as sent:
            for call in (own.status, own.plan, own.up):
                with pytest.raises(InvalidMigrations, match="0002 is missing"):
                    call()
        assert not set(sent) - READS

    def test_up_failed_migration_stays_pending(self, old: Quill, tmp_path: Path) -> None:
        own = migrations_of(old, tmp_path)
        write_counting(tmp_path, 1)
        write_counting(tmp_path, 2, 'raise ValueError("no such thing")')
        write_counting(tmp_path, 3)
        with pytest.raises(MigrationFailed, match=r"0002_m2 failed.*ValueError: no such") as raised:
            own.up()
        assert raised.value.migration == "0002_m2"
        assert states(own.status()) == ["applied", "pending", "pending"]
        run = old.job_runs.get("quill-migrate", "table")
        assert run is not None
        assert run.status is JobStatus.FAILED
        write_counting(tmp_path, 2)
        assert [each.number for each in migrations_of(old, tmp_path).up()] == [2, 3]
        assert run_counts(old) == {"0001_m1": 1, "0002_m2": 2, "0003_m3": 1}

    def test_up_rejected_request_error_names_migration(self, old: Quill, tmp_path: Path) -> None:
        rejected = 'step.request("put_item", Item={"pk": {"S": ""}})'
        write_migration(tmp_path, "0001_a", f"def up(step):\n    {rejected}\n")
        with pytest.raises(MigrationFailed, match=r"0001_a failed.*ValidationException"):
            migrations_of(old, tmp_path).up()

    def test_up_backfill_without_table_raises_migration_failed(
        self, bare: Quill, tmp_path: Path
    ) -> None:
        write_migration(tmp_path, "0001_a", "def up(step):\n    step.backfill(dict)\n")
        with pytest.raises(MigrationFailed, match="needs a table"):
            migrations_of(bare, tmp_path).up()


# Concurrent migrators.


def until_files(folder: Path, number: int) -> str:
    """Return code for a migration that waits until a folder has a number of files."""
    folder.mkdir()
    return (
        "import pathlib, time; "
        f"[time.sleep(0.05) for _ in range(1200) if len([*pathlib.Path({str(folder)!r}).iterdir()])"
        f" < {number}]"
    )


def migrate(
    settings: Settings, folder: Path, blocked: Path, wait: bool
) -> tuple[list[int], list[str]]:
    reported: list[str] = []

    def report(line: str) -> None:
        reported.append(line)
        if line.startswith(("waiting for", "rejected: ")):
            (blocked / str(os.getpid())).touch()

    with connect(settings) as quill:
        try:
            done = migrations_of(quill, folder).up(wait=wait, listener=Listener(report))
        except AlreadyRunning as error:
            report(f"rejected: {error}")
            return [], reported
        return [each.number for each in done], reported


@pytest.mark.parametrize("wait", [True, False])
def test_up_three_migrators_apply_each_migration_once(
    old: Quill, tmp_path: Path, wait: bool
) -> None:
    folder, blocked = tmp_path / "migrations", tmp_path / "blocked"
    write_counting(folder, 1)
    write_counting(folder, 2, until_files(blocked, 2))
    write_counting(folder, 3)
    results = race(migrate, [(old.settings, folder, blocked, wait)] * 3)
    (worked,) = [done for done, _ in results if done]
    assert worked == [1, 2, 3]
    assert run_counts(old) == {"0001_m1": 1, "0002_m2": 1, "0003_m3": 1}
    # The migrators that waited had nothing to apply and did not take the lock.
    (run,) = old.job_runs.attempts("quill-migrate", "table")
    for done, reported in results:
        if not done:
            (line,) = reported
            assert line.startswith("waiting for" if wait else "rejected: ")
            assert run.owner in line


def create(settings: Settings, _: int) -> list[int]:
    with connect(settings) as quill:
        return [each.number for each in quill.migrations.up()]


def test_up_three_migrators_create_the_table_once(bare: Quill) -> None:
    done = race(create, [(bare.settings, number) for number in range(3)])
    assert sorted(done) == [[], [], [1, 2, 3]]
    assert bare.schema.apply() == []


def test_up_dead_migrator_takes_over_its_lock(old: Quill, tmp_path: Path) -> None:
    write_counting(tmp_path, 1)
    # This run has the lock and does not renew it.
    dead = old.job_runs.start("quill-migrate", "table", 3 * SECOND)
    own = migrations_of(old, tmp_path)
    with pytest.raises(AlreadyRunning, match=re.escape(dead.owner)) as raised:
        own.up(wait=False)
    assert raised.value.run.run_id == dead.run_id
    waited: list[str] = []
    (only,) = own.up(listener=Listener(waited.append))
    assert only.fencing_token is not None
    assert only.fencing_token > dead.fencing_token
    assert dead.owner in waited[0]
    assert len([line for line in waited if "waiting" in line]) == 1
    with pytest.raises(LeaseLost):
        dead.save_checkpoint({})


def test_up_lost_lock_records_nothing(old: Quill, tmp_path: Path) -> None:
    folder, cancelled = tmp_path / "migrations", tmp_path / "cancelled"
    write_counting(folder, 1, until_files(cancelled, 1))
    own = migrations_of(old, folder)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(own.up)
        wait_until(lambda: bool(run_counts(old)), 30)
        old.job_runs.cancel("quill-migrate", "table")
        (cancelled / "now").touch()
        with pytest.raises(LeaseLost):
            late.result(timeout=30)
    assert states(own.status()) == ["pending"]
    assert own.up()
    assert run_counts(old) == {"0001_m1": 2}


def test_up_lost_response_records_once(
    old: Quill, behind: Quill, proxy: Proxy, tmp_path: Path
) -> None:
    own = migrations_of(behind, numbered(tmp_path, 2))
    proxy.lose("TransactWriteItems", times=2)
    assert [each.number for each in own.up()] == [1, 2]
    assert states(migrations_of(old, tmp_path).status()) == ["applied", "applied"]


@pytest.fixture
def behind(old: Quill, proxy: Proxy) -> Iterator[Quill]:
    """A connection to the table of ``old`` through ``proxy``."""
    settings = Settings(endpoint=proxy.endpoint, table=old.settings.table)
    with connect(settings) as quill:
        yield quill
