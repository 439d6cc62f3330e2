"""A backfill is killed and run again while other processes write."""

import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from quill_models import Increment, JobRun, Metric, Quill, Settings, connect
from quill_models.migrations.migrator import JOB, WINDOW
from tests.local_dynamo.old_tables import ADDED, old_item, old_table, store_all
from tests.local_dynamo.support import HOUR, NOON, SECOND, scanned
from tests.local_dynamo.test_ingestion_crash import COMMAND, Running, a_shell

HOURS = 48
# The writer that uses a metric, by the metric's number modulo ten. No writer uses the others.
ADDED_TO, PUT, DELETED = 0, 1, 2
# Delay between two writes, so that the migrator gets enough CPU on a small machine.
DELAY = 0.03


def metric(number: int, value: int | None = None) -> Metric:
    return Metric(
        scope=f"agent:{number}",
        name="calls",
        grain="hour",
        bucket_start=NOON + number % HOURS * HOUR,
        value=number if value is None else value,
    )


# Writers of the new version. Each runs in its own process until the file ``stop`` exists.


def add(settings: Settings, stop: Path, worker: int, metrics: int) -> dict[int, int]:
    """Add to stored and new metrics, sometimes twice. Return the sum added to each."""
    added = Counter[int]()
    chance = random.Random(worker)  # noqa: S311
    with connect(settings) as quill:
        while not stop.exists():
            number = ADDED_TO + 10 * chance.randrange(metrics // 10)
            number += metrics * chance.choice((0, 0, 0, 1))
            increment = Increment(
                f"agent:{number}",
                "calls",
                "hour",
                metric(number).bucket_start,
                1 + number % 3,
                f"{worker}/{added.total()}",
            )
            assert quill.metrics.add(increment).created
            if chance.random() < 0.2:
                assert not quill.metrics.add(increment).created
            added[number] += 1 + number % 3
            time.sleep(DELAY)
    return dict(added)


def put(settings: Settings, stop: Path, worker: int, metrics: int) -> dict[int, int]:
    """Put newer values. Return the last value of each metric."""
    values: dict[int, int] = {}
    chance = random.Random(worker)  # noqa: S311
    with connect(settings) as quill:
        while not stop.exists():
            number = PUT + 10 * chance.randrange(metrics // 10)
            newer = metric(number, value=metrics + len(values))
            newer.computed_at = NOON + len(values) * SECOND
            quill.metrics.put(newer)
            values[number] = int(newer.value)
            time.sleep(DELAY)
    return values


def delete(settings: Settings, stop: Path, worker: int, metrics: int) -> dict[int, int]:
    """Delete metrics. Return their numbers as keys."""
    deleted: dict[int, int] = {}
    chance = random.Random(worker)  # noqa: S311
    with connect(settings) as quill:
        while not stop.exists():
            number = DELETED + 10 * chance.randrange(metrics // 10)
            quill.store.delete(metric(number).key())
            deleted[number] = 0
            time.sleep(DELAY)
    return deleted


@pytest.fixture
def old(quill_settings: Settings) -> Iterator[Quill]:
    with old_table(quill_settings) as quill:
        yield quill


def migrator_of(quill: Quill) -> JobRun | None:
    return quill.job_runs.get(JOB, WINDOW)


def saved_counts(quill: Quill) -> tuple[int, int]:
    """Return the numbers of seen and changed items at the saved position."""
    run = migrator_of(quill)
    segments = [
        segment
        for each in (run.checkpoint.get("backfills", []) if run else [])
        for segment in each["segments"]
    ]
    return sum(each["seen"] for each in segments), sum(each["changed"] for each in segments)


def kill_after(quill: Quill, running: Running, seen: int) -> None:
    """Kill the migrator when its saved position has passed a number of items."""
    deadline = time.monotonic() + 1800
    while saved_counts(quill)[0] < seen:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    running.kill()
    running.communicate()
    run = migrator_of(quill)
    assert run is not None
    assert run.status == "running"


def unlisted(quill: Quill) -> set[str]:
    return {item["pk"]["S"] for item in scanned(quill, "metric") if ADDED[0] not in item}


@pytest.mark.soak
def test_up_killed_backfill_with_writers_continues(old: Quill, tmp_path: Path, soak: bool) -> None:
    metrics, kills, limit = (50_000, (0.25, 0.6), 100_000) if soak else (600, (0.25,), 360)
    before = [old_item(old, metric(number)) for number in range(metrics)]
    store_all(old, before)
    # A shorter lease, so that the small test does not wait long for the lock of the dead migrator.
    lease = "" if soak else "migrator.LEASE = timedelta(seconds=6)\n"
    code = (
        "from datetime import timedelta\n"
        f"from quill_models.migrations import migrator\n{lease}{COMMAND}"
    )
    stop = tmp_path / "stop"
    context = multiprocessing.get_context("spawn")
    with a_shell(old, tmp_path) as shell, ProcessPoolExecutor(4, mp_context=context) as pool:
        writers = [
            pool.submit(work, old.settings, stop, worker, metrics)
            for worker, work in enumerate((add, add, put, delete))
        ]
        try:
            left: set[str] = set()
            changed_before = 0
            for part in kills:
                running = shell.run("migrate", "up", "--write-units", limit, code=code)
                kill_after(old, running, int(part * metrics))
                _, changed_before = saved_counts(old)
                left = unlisted(old)
                assert left, "the backfill was over before it was killed"
                assert len(left) < metrics
            last = shell.run("migrate", "up", "--json", "--write-units", limit, code=code)
            out, err = last.communicate(timeout=1800)
        finally:
            stop.touch()
        assert last.returncode == 0, err
        written = [writer.result(timeout=60) for writer in writers]
    (applied,) = json.loads(out)["applied"]
    assert applied["name"] == "0003_list_metrics_by_day"
    # No item was migrated twice: the last attempt changed only items that were left, and writers
    # may have migrated some of these.
    assert applied["changed"] - changed_before <= len(left)
    attempts = old.job_runs.attempts(JOB, WINDOW)
    assert [run.status for run in attempts] == [*["failed"] * len(kills), "succeeded"]
    assert_consistent(old, before, written)


def assert_consistent(
    quill: Quill, before: Sequence[dict[str, Any]], written: Sequence[dict[int, int]]
) -> None:
    added = Counter[int](written[0])
    added.update(written[1])
    values, deleted = written[2], written[3]
    assert all((added, values, deleted))
    found = {item["pk"]["S"]: item for item in scanned(quill, "metric")}
    expected = {number: number for number in range(len(before)) if number not in deleted}
    expected.update(values)
    for number, amount in added.items():
        expected[number] = expected.get(number, 0) + amount
    # No item was lost or restored, and no newer value was undone.
    assert {item["scope"]["S"]: int(item["value"]["N"]) for item in found.values()} == {
        f"agent:{number}": value for number, value in expected.items()
    }
    # Items that no writer changed differ only by the list. All are as the model composes them.
    shards = quill._table.shards
    for number, item in enumerate(before):
        if number not in added and number not in values and number not in deleted:
            now = found[item["pk"]["S"]]
            assert {name: now[name] for name in now if name not in ADDED} == item
    for item in found.values():
        assert Metric.from_item(item).to_item(shards) == item
    # Each metric is in the list of its day once.
    days = {(NOON + hour * HOUR).date() for hour in range(HOURS)}
    listed = [each.key().pk for day in sorted(days) for each in quill.metrics.list_by_day(day)]
    assert sorted(listed) == sorted(found)
