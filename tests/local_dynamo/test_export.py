"""Exports of a real table, by a scan and by the lists of days."""

import threading
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from quill_models import Agent, JobRun, Metric, Quill, connect
from quill_models.errors import ExportFailed, InvalidValue, TableNotFound
from quill_models.export import TABLES, Progress, export_files, inputs
from quill_models.models import QuillModel
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    event,
    interaction,
    on_the_wire,
    store,
)
from tests.unit.export.folders import contents, files_in, manifest
from tests.unit.export.readers import TABLE_OF, expected, rows_in

quill = tables.emptied

TODAY = NOON.date()
ONE_DAY = timedelta(days=1)


def metric(scope: str = "global", value: int = 1, **fields: Any) -> Metric:
    given: dict[str, Any] = {"name": "calls", "grain": "hour", "bucket_start": NOON, **fields}
    return Metric(scope=scope, value=value, **given)


def run_of(window: str, status: str = "succeeded", **fields: Any) -> JobRun:
    given: dict[str, Any] = {
        "started_at": NOON,
        "lease_expires_at": NOON + HOUR,
        "finished_at": NOON + MINUTE,
    }
    return JobRun(
        job_name="sync",
        window=window,
        run_id="r",
        owner="host:1",
        status=status,
        **(given | fields),
    )


def put(quill: Quill, *models: QuillModel) -> list[QuillModel]:
    """Store models without the repositories, with their timestamps."""
    for model in models:
        model.stamp(quill.table)
        store(quill, model.to_item(quill.table.shards))
    return list(models)


def two_days(quill: Quill) -> list[QuillModel]:
    """Store agents, and facts of all kinds and statuses for today and tomorrow."""
    return put(
        quill,
        Agent(agent_id="ada", name="Ada", external_ids={"hubspot": "1"}),
        Agent(agent_id="ü🦜", status="inactive"),
        *(
            fact
            for number, day in enumerate((NOON, NOON + DAY))
            for fact in (
                interaction(f"i{number}", started_at=day, source="hubspot"),
                metric(bucket_start=day),
                *(
                    run_of(
                        f"{status}{number}",
                        status,
                        started_at=day,
                        lease_expires_at=day + HOUR,
                        finished_at=None if status == "running" else day + MINUTE,
                    )
                    for status in ("running", "succeeded", "failed", "cancelled")
                ),
                *(
                    event(f"{status}{number}", status=status, occurred_at=day, received_at=NOON)
                    for status in ("pending", "processing", "processed", "failed", "dead")
                ),
            )
        ),
    )


def rows(out: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        table.name: sorted(rows_in(out, table), key=str)
        for table in TABLES
        if (out / table.name).exists()
    }


def rows_of(models: list[QuillModel], days: set[date] | None = None) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {table.name: [] for table in TABLES}
    for model in models:
        row = expected(model)
        if days is None or "date" not in row or row["date"] in days:
            found[TABLE_OF[model.KIND].name].append(row)
    return {name: sorted(each, key=str) for name, each in found.items()}


# Scans.


@pytest.mark.usefixtures("quill_clock")
def test_export_scan_writes_all_unexpired_facts(quill: Quill, tmp_path: Path) -> None:
    models = two_days(quill)
    # The table also has a claim, settings, and an expired item.
    quill.interactions.record(interaction("claimed", source="s", external_id="1"))
    claimed = quill.interactions.get("claimed")
    assert claimed is not None
    models += [claimed]
    (expired,) = put(quill, event("expired"))
    store(quill, {**expired.to_item(4), "ttl": {"N": f"{NOON.timestamp() - 1:.0f}"}})
    reports: list[Progress] = []
    with on_the_wire(quill) as sent:
        done = export_files(quill, tmp_path, report=reports.append)
    assert rows(tmp_path) == rows_of(models)
    assert sorted(sent) == ["DescribeTable"] + ["Scan"] * 4
    # The others are the claim, the expired item, the settings, and the history of migrations.
    assert reports[-1].items == len(models) + 6
    assert done.manifest["from"] == {"kind": "scan", "table": quill.settings.table}


def test_export_scan_reads_every_page(
    quill: Quill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_PAGE", 3)
    put(quill, *(event(f"{number}") for number in range(60)))
    with on_the_wire(quill) as sent:
        done = export_files(quill, tmp_path, kinds=["webhook_event"])
    assert done.rows == {"fact_webhook_event": 60}
    assert sent.count("Scan") > 20


def test_scan_input_closed_early_stops_scan(
    quill: Quill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_PAGE", 1)
    put(quill, *(event(f"{number}") for number in range(60)))
    with on_the_wire(quill) as sent:
        source = inputs.scan_input(quill.table, ["webhook_event"], lambda _: None)
        assert next(source.items)
        source.items.close()
    # Queued pages, pages that wait for the queue, and pages in flight.
    assert sent.count("Scan") <= 4 * 3 + 4
    assert not [each for each in threading.enumerate() if "quill-scan" in each.name]


@pytest.mark.parametrize("segments", [1, 3])
def test_export_scan_limits_read_units(
    quill: Quill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segments: int
) -> None:
    monkeypatch.setattr(inputs, "_PAGE", 1)
    put(quill, *(event(f"{number}", payload={"text": "x" * 8000}) for number in range(10)))
    started = time.monotonic()
    done = export_files(quill, tmp_path, segments=segments, read_units=20)
    elapsed = time.monotonic() - started
    assert done.rows["fact_webhook_event"] == 10
    # The requests take at least 15 read units. No segment waits after its last request.
    assert elapsed >= (10 - segments) * 1.5 / 20


@pytest.mark.parametrize("options", [{"segments": 0}, {"segments": 33}, {"read_units": 0}])
def test_export_invalid_scan_options_raise(
    quill: Quill, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue):
        export_files(quill, tmp_path, **options)
    with pytest.raises(InvalidValue):
        export_files(quill, tmp_path, since=TODAY, **options)
    assert contents(tmp_path) == {}


def test_export_missing_table_writes_nothing(quill: Quill, tmp_path: Path) -> None:
    with connect(replace(quill.settings, table="no-such-table")) as other:
        with pytest.raises(TableNotFound):
            export_files(other, tmp_path)
        with pytest.raises(TableNotFound):
            export_files(other, tmp_path, since=TODAY, until=TODAY + ONE_DAY)
    assert files_in(tmp_path) == set()


# Days.


@pytest.mark.parametrize("days", [{TODAY}, {TODAY + ONE_DAY}, {TODAY, TODAY + ONE_DAY}])
def test_export_days_equal_rows_of_a_scan(quill: Quill, tmp_path: Path, days: set[date]) -> None:
    models = two_days(quill)
    since, until = min(days), max(days) + ONE_DAY
    with on_the_wire(quill) as sent:
        done = export_files(quill, tmp_path, since=since, until=until)
    assert rows(tmp_path) == rows_of(models, days)
    assert done.manifest["range"] == {"since": f"{since}", "until": f"{until}"}
    # One query for each read of an agents' list, and one per shard for each other list.
    shards = 4
    lists = 2 * len(days) + (4 + 1) + (5 + 2)
    assert set(sent) == {"Query"}
    assert sent.count("Query") == 3 + shards * lists


def test_export_days_keep_other_days(quill: Quill, tmp_path: Path) -> None:
    two_days(quill)
    export_files(quill, tmp_path)
    before = contents(tmp_path)
    put(quill, *(metric(bucket_start=NOON + day * DAY, value=9) for day in range(3)))
    tomorrow = TODAY + ONE_DAY
    export_files(quill, tmp_path, since=tomorrow, until=tomorrow + ONE_DAY, kinds=["metric"])
    after = contents(tmp_path)
    changed = {file for file in before | after if before.get(file) != after.get(file)}
    assert changed == {"manifest.json", f"fact_metric/{tomorrow}.parquet"}
    values = {row["date"]: row["value"] for row in rows(tmp_path)["fact_metric"]}
    assert values == {TODAY: 1, tomorrow: 9}


def test_export_day_without_rows_removes_file(quill: Quill, tmp_path: Path) -> None:
    two_days(quill)
    export_files(quill, tmp_path)
    quill.interactions.delete("i1")
    tomorrow = TODAY + ONE_DAY
    done = export_files(quill, tmp_path, since=tomorrow, until=tomorrow + ONE_DAY)
    assert {file for file in files_in(tmp_path) if "interaction" in file} == {
        f"fact_interaction/{TODAY}.parquet"
    }
    assert done.removed == 1
    quill.interactions.delete("i0")
    export_files(quill, tmp_path, since=TODAY, until=tomorrow)
    assert {file for file in files_in(tmp_path) if "interaction" in file} == {
        "fact_interaction/empty.parquet"
    }


@pytest.mark.usefixtures("quill_clock")
def test_export_until_defaults_to_tomorrow(quill: Quill, tmp_path: Path) -> None:
    models = two_days(quill)
    done = export_files(quill, tmp_path, since=TODAY - ONE_DAY)
    assert done.manifest["range"]["until"] == f"{TODAY + ONE_DAY}"
    assert rows(tmp_path) == rows_of(models, {TODAY})


def test_export_sources_combine_folder_and_argument(quill: Quill, tmp_path: Path) -> None:
    put(quill, *(event("e", source=source, status="dead") for source in ("hubspot", "phone")))
    day = {"since": (NOON - HOUR).date(), "until": TODAY + ONE_DAY}

    def exported(folder: str, **given: Any) -> list[str]:
        export_files(quill, tmp_path / folder, **given)
        found = rows(tmp_path / folder)["fact_webhook_event"]
        assert {row["source"] for row in found} <= set(manifest(tmp_path / folder)["sources"])
        return [row["source"] for row in found]

    assert exported("new", **day) == ["hubspot"]
    assert exported("new", **day, sources=["phone"]) == ["hubspot", "phone"]
    assert exported("new", **day) == ["hubspot", "phone"]
    assert exported("all") == ["hubspot", "phone"]
    assert exported("all", **day) == ["hubspot", "phone"]


@pytest.mark.usefixtures("quill_clock")
def test_export_assumed_sources_are_returned(quill: Quill, tmp_path: Path) -> None:
    since = TODAY - ONE_DAY

    def assumed(folder: str, **given: Any) -> list[str]:
        return [*export_files(quill, tmp_path / folder, **given).assumed_sources]

    assert assumed("named", since=since, sources=["phone"]) == []
    assert assumed("others", since=since, kinds=["metric"]) == []
    assert assumed("others", since=since) == ["hubspot"]
    assert assumed("others", since=since) == []
    assert assumed("all") == []
    assert assumed("all", since=since) == []


@pytest.mark.usefixtures("quill_clock")
def test_export_events_moving_meanwhile_are_written_once(
    quill: Quill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(quill, *(event(f"{number}", received_at=NOON - DAY) for number in range(3)))
    put(quill, event("failed", status="failed", received_at=NOON - DAY))
    read = type(quill.webhook_events).list_by_status
    with connect(quill.settings, clock=FrozenClock(NOON + SECOND)) as other:

        def moving(self: Any, source: str, status: Any, *between: Any) -> Any:
            # One event leaves the lists that are still to be read, another returns to one.
            if status == "failed":
                first, second, *_ = other.webhook_events.claim("hubspot", limit=4)
                other.webhook_events.complete(first)
                other.webhook_events.release(second)
            return read(self, source, status, *between)

        monkeypatch.setattr(type(quill.webhook_events), "list_by_status", moving)
        export_files(quill, tmp_path, since=TODAY, kinds=["webhook_event"])
    monkeypatch.undo()
    found = {row["event_key"]: row["status"] for row in rows(tmp_path)["fact_webhook_event"]}
    stored = {key: quill.webhook_events.get("hubspot", key) for key in ("0", "1", "2", "failed")}
    assert found == {key: each.status for key, each in stored.items() if each is not None}
    assert len(rows(tmp_path)["fact_webhook_event"]) == 4


def test_export_run_restarted_meanwhile_is_written_once(
    quill: Quill, quill_clock: FrozenClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZeroDivisionError), quill.job_runs.start("sync", "again"):
        raise ZeroDivisionError
    read = type(quill.job_runs).list_by_status
    started: list[Any] = []

    def moving(self: Any, status: Any, *between: Any) -> Any:
        if status == "cancelled":
            quill_clock.tick(DAY)
            started.append(quill.job_runs.start("sync", "again"))
        return read(self, status, *between)

    monkeypatch.setattr(type(quill.job_runs), "list_by_status", moving)
    export_files(quill, tmp_path, since=TODAY, until=TODAY + 3 * ONE_DAY, kinds=["job_run"])
    monkeypatch.undo()
    (row,) = rows(tmp_path)["fact_job_run"]
    assert (row["status"], row["attempt"], row["date"]) == ("running", 2, TODAY + ONE_DAY)


def test_export_days_other_format_raises_before_requests(quill: Quill, tmp_path: Path) -> None:
    export_files(quill, tmp_path, format="csv")
    with on_the_wire(quill) as sent, pytest.raises(ExportFailed, match="csv files"):
        export_files(quill, tmp_path, since=TODAY, until=TODAY + ONE_DAY)
    assert sent == []


# The lists.


@pytest.fixture
def statuses(quill: Quill) -> Quill:
    put(
        quill,
        *(run_of(f"{n}", started_at=NOON + n * SECOND) for n in range(5)),
        *(event(f"{n}", status="dead", occurred_at=NOON + n * SECOND) for n in range(5)),
    )
    return quill


@pytest.mark.parametrize(("since", "until"), [(1, 3), (None, 2), (3, None), (2, 2), (4, 1)])
def test_list_by_status_between_times_filters(
    statuses: Quill, since: int | None, until: int | None
) -> None:
    between = [None if each is None else NOON + each * SECOND for each in (since, until)]
    expected_keys = (
        [f"{n}" for n in range(5)[slice(since or 0, until)]] if (since, until) != (4, 1) else []
    )
    runs = statuses.job_runs.list_by_status("succeeded", *between)
    assert [run.window for run in runs] == expected_keys
    events = statuses.webhook_events.list_by_status("hubspot", "dead", *between)
    assert [each.event_key for each in events] == expected_keys
    assert [item["event_key"]["S"] for item in events.raw_items()] == expected_keys
    assert runs.count() == len(expected_keys)
