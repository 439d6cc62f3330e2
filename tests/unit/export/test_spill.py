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
from quill_models.export import spill as spills
from quill_models.export.spill import Spill, identity_of
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
        spill = Spill(Path(folder), buffer_bytes=buffer_bytes)
        for item in items:
            spill.add(TABLE_OF[item["kind"]["S"]], item)
        return [
            (table.name, day, [row for batch in batches for row in batch])
            for table, day, batches in spill.days(latest)
        ]


@settings(max_examples=25)
@given(st.lists(models(), max_size=12), st.randoms())
def test_rows_come_by_table_day_and_time_however_they_went_in(
    given_models: list[QuillModel], chance: random.Random
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
    chance.shuffle(shuffled)
    in_memory, on_disk = days_of(shuffled), days_of(shuffled, buffer_bytes=1)
    assert in_memory == on_disk
    rows = [row for _, _, rows in in_memory for row in rows]
    tables = [*TABLE_OF.values()]
    assert rows == [tables[rank].row(items[identity]) for rank, _, identity in expected]
    places = [(name, day) for name, day, _ in in_memory]
    assert len(places) == len(set(places))


def test_many_runs_are_merged_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spills, "_RUNS", 3)
    items = [item_of(metric(value=n, scope=f"agent:{n:03}")) for n in range(100)]
    ((_, day, rows),) = days_of(random.Random(1).sample(items, 100), buffer_bytes=1)  # noqa: S311
    assert day == "2031-05-17"
    assert [row[1] for row in rows] == [f"agent:{n:03}" for n in range(100)]


def test_batches_are_bounded_by_rows_and_by_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def sizes() -> list[int]:
        spill = Spill(tmp_path)
        for number in range(25):
            spill.add(TABLE_OF["agent"], item_of(agent(agent_id=f"{number}", external_ids={})))
        return [len(batch) for _, _, batches in spill.days() for batch in batches]

    monkeypatch.setattr(spills, "_BATCH_ROWS", 10)
    assert sizes() == [10, 10, 5]
    monkeypatch.setattr(spills, "_BATCH_BYTES", 1)
    assert sizes() == [1] * 25


def test_what_was_met_twice_is_there_once_as_it_was_later() -> None:
    first, second = (item_of(job_run(attempt=n), NOON + n * SECOND) for n in (1, 2))
    for items in ([first, second], [second, first], [first, first, second]):
        ((_, _, (row,)),) = days_of(items)
        assert row[TABLE_OF["job_run"].position("attempt")] == 2


def test_what_has_moved_to_another_day_is_left_out_of_the_old_one() -> None:
    old = item_of(job_run(status="failed", finished_at=NOON), NOON)
    new = item_of(job_run(attempt=2, started_at=NOON + DAY), NOON + DAY)
    latest = {identity_of(new): new["updated_at"]["S"]}
    found = days_of([old, new], latest)
    assert [(day, len(rows)) for _, day, rows in found] == [("2031-05-17", 0), ("2031-05-18", 1)]
