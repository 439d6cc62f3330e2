"""Backfills: whatever writers do meanwhile, and wherever it stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Lock
from typing import Any

import pytest

from quill_models import Key, LeaseLost, Metric, Quill
from quill_models.errors import InvalidValue, QuillError
from quill_models.migrations import Listener, Progress, Step
from quill_models.migrations.migrator import JOB, LEASE, WINDOW
from tests.local_dynamo import tables
from tests.local_dynamo.old_tables import ADDED, old_item, store_all
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    NOON,
    SECOND,
    interaction,
    on_the_wire,
    scanned,
    store,
    stored,
)

quill = tables.emptied

MARK = {"mark": {"S": "x"}}
IDENTITY = {"migration": "0009_x", "checksum": "c"}

Item = dict[str, Any]
Change = Callable[[Item], Item]


def plain(number: int, **attributes: Any) -> Item:
    return {
        "pk": {"S": f"P{number}"},
        "sk": {"S": "-"},
        "kind": {"S": "plain"},
        "write_token": {"S": f"t{number}"},
        **attributes,
    }


def key(number: int) -> Key:
    return Key(f"P{number}", "-")


def backfill(
    quill: Quill,
    change: Change = lambda _: MARK,
    *,
    identity: dict[str, str] = IDENTITY,
    limit: float | None = None,
    listener: Listener | None = None,
    lease: timedelta = LEASE,
    **options: Any,
) -> Step:
    """One backfill under the migrator's lock, as that of a migration that is then done."""
    with quill.job_runs.start(JOB, WINDOW, lease, force=True) as run:
        step = Step(quill._table, identity, run, listener or Listener(), limit)
        options.setdefault("kind", "plain")
        step.backfill(change, **options)
        run.save_checkpoint({})
    return step


def marks(quill: Quill) -> int:
    return sum("mark" in item for item in scanned(quill, "plain"))


class TestWalk:
    @pytest.mark.parametrize("segments", [1, 4, 16])
    def test_every_item_once(self, quill: Quill, segments: int) -> None:
        store_all(quill, (plain(n) for n in range(450)))
        asked: list[str] = []
        lock = Lock()

        def change(item: Item) -> Item:
            with lock:
                asked.append(item["pk"]["S"])
            return MARK

        with on_the_wire(quill) as sent:
            step = backfill(quill, change, segments=segments)
        assert sorted(asked) == sorted(f"P{n}" for n in range(450))
        assert (step.changed, marks(quill)) == (450, 450)
        assert step.seen >= 450
        assert sent.count("UpdateItem") == 450
        with on_the_wire(quill) as sent:
            assert backfill(quill, segments=segments).changed == 0
        assert "UpdateItem" not in sent

    def test_only_of_its_kind(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(5)))
        quill.interactions.record(interaction())
        asked: list[str] = []
        backfill(quill, lambda item: asked.append(item["kind"]["S"]) or {})  # type: ignore[func-returns-value]
        assert set(asked) == {"plain"}
        asked.clear()
        backfill(quill, lambda item: asked.append(item["kind"]["S"]) or {}, kind=None)  # type: ignore[func-returns-value]
        assert {"plain", "interaction", "job_run"} <= set(asked)

    def test_of_an_index(self, quill: Quill) -> None:
        days = [NOON + n * DAY for n in range(250)]
        quill.interactions.record_many(
            interaction(f"i{n}", started_at=day, agent_id="a" if n % 2 else None)
            for n, day in enumerate(days)
        )
        told: list[Progress] = []
        step = backfill(
            quill, index="gsi1", kind="interaction", listener=Listener(progress=told.append)
        )
        assert step.changed == 125
        marked = [item for item in scanned(quill, "interaction") if "mark" in item]
        assert {item["agent_id"]["S"] for item in marked} == {"a"}
        assert told[-1].seen == told[-1].total == step.seen

    def test_an_index_that_is_not_there(self, quill: Quill) -> None:
        with pytest.raises(QuillError, match="gsi9"):
            backfill(quill, index="gsi9")

    @pytest.mark.parametrize("segments", [0, 17])
    def test_too_many_segments(self, quill: Quill, segments: int) -> None:
        with pytest.raises(InvalidValue, match="1 to 16"):
            backfill(quill, segments=segments)

    def test_what_is_there_already_is_not_written_again(self, quill: Quill) -> None:
        store_all(quill, [plain(1, **MARK), plain(2, other={"S": "y"})])
        assert backfill(quill, lambda _: {**MARK, "other": {"S": "y"}}).changed == 2
        assert backfill(quill, lambda _: {**MARK, "other": {"S": "y"}}).changed == 0


class TestWriters:
    """A writer comes between the reading of an item and its being changed."""

    @pytest.mark.parametrize("with_token", [True, False])
    def test_a_newer_write_stays_and_is_looked_at_again(
        self, quill: Quill, with_token: bool
    ) -> None:
        old = plain(1, value={"S": "old"})
        if not with_token:
            del old["write_token"]
        store(quill, old)
        seen: list[str] = []

        def change(item: Item) -> Item:
            if not seen:
                store(quill, plain(1, value={"S": "new"}, write_token={"S": "theirs"}))
            seen.append(item["value"]["S"])
            return {"copy": item["value"]}

        assert backfill(quill, change).changed == 1
        assert seen == ["old", "new"]
        new = {"S": "new"}
        expected = plain(1, value=new, copy=new, write_token={"S": "theirs"})
        assert stored(quill, key(1)) == expected

    def test_a_newer_write_that_needs_nothing_is_left_alone(self, quill: Quill) -> None:
        store(quill, plain(1))

        def change(item: Item) -> Item:
            if "mark" in item:
                return {}
            store(quill, plain(1, mark={"S": "theirs"}, write_token={"S": "theirs"}))
            return MARK

        assert backfill(quill, change).changed == 0
        assert stored(quill, key(1)) == plain(1, mark={"S": "theirs"}, write_token={"S": "theirs"})

    @pytest.mark.parametrize("with_token", [True, False])
    def test_an_item_that_is_gone_does_not_come_back(self, quill: Quill, with_token: bool) -> None:
        item = plain(1)
        if not with_token:
            del item["write_token"]
        store(quill, item)

        def change(_: Item) -> Item:
            quill.store.delete(key(1))
            return MARK

        assert backfill(quill, change).changed == 0
        assert stored(quill, key(1)) is None

    def test_a_writer_that_read_before_it_still_writes(self, quill: Quill) -> None:
        """The token is that of the last write of the content, which a backfill is not."""
        metric = Metric(
            scope="global", name="calls", grain="day", bucket_start=NOON.replace(hour=0), value=1
        )
        store(quill, old_item(quill, metric))
        before = stored(quill, metric.key())
        backfill(quill, kind="metric")
        after = stored(quill, metric.key())
        assert before is not None
        assert after == {**before, **MARK}
        metric.value = 2
        with on_the_wire(quill) as sent:
            assert quill.metrics.put(metric).outcome == "updated"
        assert sent == ["PutItem", "PutItem"]

    def test_what_has_expired_is_left_alone(self, quill: Quill) -> None:
        # More than five years past, so that the server does not delete it meanwhile.
        store_all(quill, [plain(1, ttl={"N": "1000"}), plain(2, ttl={"N": "99999999999"})])
        assert backfill(quill).changed == 1
        assert stored(quill, key(1)) == plain(1, ttl={"N": "1000"})

    def test_a_lost_answer(self, quill: Quill, behind_proxy: Quill, proxy: Proxy) -> None:
        store_all(quill, (plain(n) for n in range(20)))
        proxy.lose("UpdateItem", times=5)
        assert backfill(behind_proxy).changed == 20
        assert marks(quill) == 20


class TestErrors:
    @pytest.mark.parametrize("name", ["pk", "sk", "write_token", "created_token"])
    def test_what_says_which_item_it_is_stays(self, quill: Quill, name: str) -> None:
        store(quill, plain(1))
        with pytest.raises(QuillError, match=f"P1 / - .*may not set {name}"):
            backfill(quill, lambda _: {name: {"S": "y"}})
        assert stored(quill, key(1)) == plain(1)

    def test_an_item_that_cannot_be_changed_is_named(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(300)))

        def change(item: Item) -> Item:
            if item["pk"]["S"] == "P77":
                raise KeyError("value")
            return MARK

        with pytest.raises(QuillError, match=r"P77 / - .*KeyError: 'value'"):
            backfill(quill, change)
        assert "mark" not in (stored(quill, key(77)) or {})

    def test_what_the_server_refuses(self, quill: Quill) -> None:
        store(quill, plain(1))
        with pytest.raises(QuillError, match=r"P1 / - .*ValidationException"):
            backfill(quill, lambda _: {"gsi1pk": {"N": "1"}})

    def test_a_lost_lease_stops_it(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(300)))

        def change(_: Item) -> Item:
            quill.job_runs.cancel(JOB, WINDOW)
            time.sleep(0.02)
            return MARK

        with pytest.raises(LeaseLost):
            backfill(quill, change, lease=3 * SECOND)
        assert marks(quill) < 300


class Broken(Exception):
    """What stops a backfill, wherever it is."""


def broken_after(number: int) -> Change:
    """Marks so many items, and fails."""
    left = [number]
    lock = Lock()

    def change(_: Item) -> Item:
        with lock:
            left[0] -= 1
            if left[0] < 0:
                raise Broken
        return MARK

    return change


class TestGoingOn:
    @pytest.mark.parametrize("after", [0, 390])
    def test_it_goes_on_where_it_was(self, quill: Quill, after: int) -> None:
        store_all(quill, (plain(n) for n in range(600)))
        with pytest.raises(QuillError, match="Broken"):
            backfill(quill, broken_after(after), segments=2)
        done = marks(quill)
        assert after - 1 <= done <= after
        asked: list[Item] = []
        told: list[str] = []
        step = backfill(
            quill,
            lambda item: asked.append(item) or MARK,  # type: ignore[func-returns-value]
            segments=2,
            listener=Listener(told.append),
        )
        assert marks(quill) == 600
        # A page of each segment comes again at most, and none of its items is written again.
        assert 600 - done <= len(asked) <= 600 - done + 2 * 100
        assert sum("mark" not in item for item in asked) == 600 - done
        assert step.seen >= 600
        assert step.changed >= 600 - 2 * 100
        assert bool(told) == (len(asked) < 600)

    def test_a_file_that_was_mended_begins_again(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(600)))
        with pytest.raises(QuillError):
            backfill(quill, broken_after(500), segments=2)
        mended = {**IDENTITY, "checksum": "d"}
        other = {"mark": {"S": "right"}}
        assert backfill(quill, lambda _: other, segments=2, identity=mended).changed == 600
        assert {item["mark"]["S"] for item in scanned(quill, "plain")} == {"right"}

    def test_of_several_those_that_ended_are_not_walked_again(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(300)))

        def both(first: Change, second: Change) -> Step:
            with quill.job_runs.start(JOB, WINDOW, LEASE, force=True) as run:
                step = Step(quill._table, IDENTITY, run, Listener())
                for change in (first, second):
                    step.backfill(change, kind="plain")
            return step

        asked: list[Item] = []
        with pytest.raises(QuillError, match="Broken"):
            both(lambda _: {}, broken_after(200))
        step = both(lambda item: asked.append(item) or {}, lambda _: MARK)  # type: ignore[func-returns-value]
        assert asked == []
        assert marks(quill) == 300
        assert step.seen >= 600

    def test_ctrl_c_keeps_the_place(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(600)))
        told: list[Progress] = []

        def interrupt(progress: Progress) -> None:
            told.append(progress)
            if progress.seen > 200:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            backfill(quill, limit=150, listener=Listener(progress=interrupt))
        assert marks(quill) < 600
        run = quill.job_runs.get(JOB, WINDOW)
        assert run is not None
        (place,) = run.checkpoint["backfills"]
        assert sum(segment["seen"] for segment in place["segments"]) >= 200
        backfill(quill)
        assert marks(quill) == 600


class TestPace:
    def test_so_many_units_a_second(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(60)))
        told: list[Progress] = []
        began = time.monotonic()
        # What whoever migrates says goes before what the migration says.
        backfill(quill, limit=30, write_units=1, listener=Listener(progress=told.append))
        elapsed = time.monotonic() - began
        # 60 units, of which one of each thread may be taken ahead.
        assert (60 - 4) / 30 <= elapsed < 30
        assert [each.seen for each in told] == sorted(each.seen for each in told)
        assert told[-1].left == 0

    def test_its_own_limit_else(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(30)))
        began = time.monotonic()
        backfill(quill, write_units=20, segments=1)
        assert time.monotonic() - began >= 29 / 20

    def test_what_indexes_take_counts(self, quill: Quill) -> None:
        metrics = [
            Metric(scope=f"agent:{n}", name="c", grain="hour", bucket_start=NOON, value=1)
            for n in range(20)
        ]
        store_all(quill, (old_item(quill, metric) for metric in metrics))
        began = time.monotonic()
        listed = {ADDED[0]: {"S": "D"}, ADDED[1]: {"S": "1"}}
        backfill(quill, lambda _: listed, kind="metric", limit=40, segments=1)
        # The table, the list it is in already, and the new one.
        assert time.monotonic() - began >= 3 * 19 / 40
