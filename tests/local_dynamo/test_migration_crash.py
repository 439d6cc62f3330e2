"""A migrator is killed in the middle of a backfill while writers go on; run again, all is whole."""

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
# What a metric's number modulo ten says of it; the others are in nobody's hands.
ADDED_TO, PUT, DELETED = 0, 1, 2
# Between two writes of a writer, so that the migrator gets its share of a small machine.
PAUSE = 0.03


def metric(number: int, value: int | None = None) -> Metric:
    return Metric(
        scope=f"agent:{number}",
        name="calls",
        grain="hour",
        bucket_start=NOON + number % HOURS * HOUR,
        value=number if value is None else value,
    )


# Writers of the new version, each in a process of its own, until the file is there.


def add(settings: Settings, stop: Path, who: int, metrics: int) -> dict[int, int]:
    """Adds to what is there and to what is new, some of it twice; what it added to each."""
    added = Counter[int]()
    chance = random.Random(who)  # noqa: S311
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
                f"{who}/{added.total()}",
            )
            assert quill.metrics.add(increment).created
            if chance.random() < 0.2:
                assert not quill.metrics.add(increment).created
            added[number] += 1 + number % 3
            time.sleep(PAUSE)
    return dict(added)


def put(settings: Settings, stop: Path, who: int, metrics: int) -> dict[int, int]:
    """Puts newer values; the last of each."""
    values: dict[int, int] = {}
    chance = random.Random(who)  # noqa: S311
    with connect(settings) as quill:
        while not stop.exists():
            number = PUT + 10 * chance.randrange(metrics // 10)
            newer = metric(number, value=metrics + len(values))
            newer.computed_at = NOON + len(values) * SECOND
            quill.metrics.put(newer)
            values[number] = int(newer.value)
            time.sleep(PAUSE)
    return values


def delete(settings: Settings, stop: Path, who: int, metrics: int) -> dict[int, int]:
    """Deletes; which ones."""
    deleted: dict[int, int] = {}
    chance = random.Random(who)  # noqa: S311
    with connect(settings) as quill:
        while not stop.exists():
            number = DELETED + 10 * chance.randrange(metrics // 10)
            quill.store.delete(metric(number).key())
            deleted[number] = 0
            time.sleep(PAUSE)
    return deleted


@pytest.fixture
def old(quill_settings: Settings) -> Iterator[Quill]:
    with old_table(quill_settings) as quill:
        yield quill


def migrator_of(quill: Quill) -> JobRun | None:
    return quill.job_runs.get(JOB, WINDOW)


def place(quill: Quill) -> tuple[int, int]:
    """How many items the saved place says were seen and changed."""
    run = migrator_of(quill)
    segments = [
        segment
        for each in (run.checkpoint.get("backfills", []) if run else [])
        for segment in each["segments"]
    ]
    return sum(each["seen"] for each in segments), sum(each["changed"] for each in segments)


def killed_at(quill: Quill, running: Running, seen: int) -> None:
    """Kill it as soon as its place says that so many items were seen."""
    deadline = time.monotonic() + 1800
    while place(quill)[0] < seen:
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
def test_a_killed_backfill_is_made_whole_while_writers_go_on(
    old: Quill, tmp_path: Path, soak: bool
) -> None:
    metrics, kills, limit = (50_000, (0.25, 0.6), 100_000) if soak else (600, (0.25,), 360)
    before = [old_item(old, metric(number)) for number in range(metrics)]
    store_all(old, before)
    # The lock of the dead passes on sooner, so that the small test does not wait for long.
    lease = "" if soak else "migrator.LEASE = timedelta(seconds=6)\n"
    code = (
        "from datetime import timedelta\n"
        f"from quill_models.migrations import migrator\n{lease}{COMMAND}"
    )
    stop = tmp_path / "stop"
    context = multiprocessing.get_context("spawn")
    with a_shell(old, tmp_path) as shell, ProcessPoolExecutor(4, mp_context=context) as pool:
        writers = [
            pool.submit(work, old.settings, stop, who, metrics)
            for who, work in enumerate((add, add, put, delete))
        ]
        try:
            left: set[str] = set()
            changed_before = 0
            for part in kills:
                running = shell.run("migrate", "up", "--write-units", limit, code=code)
                killed_at(old, running, int(part * metrics))
                _, changed_before = place(old)
                left = unlisted(old)
                assert left, "the backfill was over before it was killed"
                assert len(left) < metrics
            last = shell.run("migrate", "up", "--json", "--write-units", limit, code=code)
            out, err = last.communicate(timeout=1800)
        finally:
            stop.touch()
        assert last.returncode == 0, err
        wrote = [writer.result(timeout=60) for writer in writers]
    (applied,) = json.loads(out)["applied"]
    assert applied["name"] == "0003_list_metrics_by_day"
    # No item was migrated twice: the last attempt wrote none but those that were left, of which
    # writers may have written some.
    assert applied["changed"] - changed_before <= len(left)
    attempts = old.job_runs.attempts(JOB, WINDOW)
    assert [run.status for run in attempts] == [*["failed"] * len(kills), "succeeded"]
    assert_whole(old, before, wrote)


def assert_whole(
    quill: Quill, before: Sequence[dict[str, Any]], wrote: Sequence[dict[int, int]]
) -> None:
    added = Counter[int](wrote[0])
    added.update(wrote[1])
    values, deleted = wrote[2], wrote[3]
    assert all((added, values, deleted))
    found = {item["pk"]["S"]: item for item in scanned(quill, "metric")}
    expected = {number: number for number in range(len(before)) if number not in deleted}
    expected.update(values)
    for number, amount in added.items():
        expected[number] = expected.get(number, 0) + amount
    # None lost, none brought back, no newer value undone.
    assert {item["scope"]["S"]: int(item["value"]["N"]) for item in found.values()} == {
        f"agent:{number}": value for number, value in expected.items()
    }
    # What nobody wrote is what it was, with the list; and all are as they are composed today.
    shards = quill._table.shards
    for number, item in enumerate(before):
        if number not in added and number not in values and number not in deleted:
            now = found[item["pk"]["S"]]
            assert {name: now[name] for name in now if name not in ADDED} == item
    for item in found.values():
        assert Metric.from_item(item).to_item(shards) == item
    # Each is in the list of its day, once.
    days = {(NOON + hour * HOUR).date() for hour in range(HOURS)}
    listed = [each.key().pk for day in sorted(days) for each in quill.metrics.list_by_day(day)]
    assert sorted(listed) == sorted(found)
