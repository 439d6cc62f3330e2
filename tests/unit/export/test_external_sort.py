"""The external merge sort of rows."""

from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models.dynamodb.items import RawItem
from quill_models.export import external_sort
from quill_models.export.external_sort import ExternalSort, identity_of
from quill_models.models import QuillModel
from tests.unit.examples import NOON, agent, job_run, metric
from tests.unit.strategies import models

from .readers import TABLE_OF

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def item_of(model: QuillModel, updated_at: Any = NOON) -> RawItem:
    model.created_at, model.updated_at = NOON, updated_at
    return model.to_item(4)


def days_of(
    items: list[RawItem], latest: dict[str, str] | None = None, buffer_bytes: int = 2**24
) -> list[tuple[str, str, list[Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        by_day = ExternalSort(Path(folder), buffer_bytes=buffer_bytes)
        for item in items:
            by_day.add(TABLE_OF[item["kind"]["S"]], item)
        return [
            (table.name, day, [row for batch in batches for row in batch])
            for table, day, batches in by_day.days(latest)
        ]


@settings(max_examples=25)
@given(st.lists(models(), max_size=12), st.randoms())
def test_days_any_input_order_yields_sorted_rows(
    given_models: list[QuillModel], rng: random.Random
) -> None:
    items = {identity_of(item): item for item in map(item_of, given_models)}
    expected = sorted(
        (
            [*TABLE_OF].index(item["kind"]["S"]),
            TABLE_OF[item["kind"]["S"]].time(item),
            identity_of(item),
        )
        for item in items.values()
    )
    shuffled = [*items.values()]
    rng.shuffle(shuffled)
    in_memory, on_disk = days_of(shuffled), days_of(shuffled, buffer_bytes=1)
    assert in_memory == on_disk
    rows = [row for _, _, rows in in_memory for row in rows]
    tables = [*TABLE_OF.values()]
    assert rows == [tables[rank].row(items[identity]) for rank, _, identity in expected]
    groups = [(name, day) for name, day, _ in in_memory]
    assert len(groups) == len(set(groups))


def test_days_many_runs_are_merged_in_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "_RUNS", 3)
    items = [item_of(metric(value=n, scope=f"agent:{n:03}")) for n in range(100)]
    ((_, day, rows),) = days_of(random.Random(1).sample(items, 100), buffer_bytes=1)  # noqa: S311
    assert day == "2031-05-17"
    assert [row[1] for row in rows] == [f"agent:{n:03}" for n in range(100)]


def test_days_batches_are_bounded_by_rows_and_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def sizes() -> list[int]:
        by_day = ExternalSort(tmp_path)
        for number in range(25):
            by_day.add(TABLE_OF["agent"], item_of(agent(agent_id=f"{number}", external_ids={})))
        return [len(batch) for _, _, batches in by_day.days() for batch in batches]

    monkeypatch.setattr(external_sort, "_BATCH_ROWS", 10)
    assert sizes() == [10, 10, 5]
    monkeypatch.setattr(external_sort, "_BATCH_BYTES", 1)
    assert sizes() == [1] * 25


def test_days_repeated_item_yields_latest() -> None:
    first, second = (item_of(job_run(attempt=n), NOON + n * SECOND) for n in (1, 2))
    for items in ([first, second], [second, first], [first, first, second]):
        ((_, _, (row,)),) = days_of(items)
        assert row[TABLE_OF["job_run"].position("attempt")] == 2


def test_days_moved_item_is_omitted_from_old_day() -> None:
    old = item_of(job_run(status="failed", finished_at=NOON), NOON)
    new = item_of(job_run(attempt=2, started_at=NOON + DAY), NOON + DAY)
    latest = {identity_of(new): new["updated_at"]["S"]}
    found = days_of([old, new], latest)
    assert [(day, len(rows)) for _, day, rows in found] == [("2031-05-17", 0), ("2031-05-18", 1)]
