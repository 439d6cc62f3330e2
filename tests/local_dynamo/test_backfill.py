"""Backfills with concurrent writers, errors, interruptions and rate limits."""

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
    """Run one backfill under the migrator's lock, as a migration does."""
    with quill.job_runs.start(JOB, WINDOW, lease, force=True) as run:
        step = Step(quill._table, identity, run, listener or Listener(), limit)
        options.setdefault("kind", "plain")
        step.backfill(change, **options)
        run.save_checkpoint({})
    return step


def marks(quill: Quill) -> int:
    return sum("mark" in item for item in scanned(quill, "plain"))


class TestScan:
    @pytest.mark.parametrize("segments", [1, 4, 16])
    def test_backfill_any_segments_changes_each_item_once(
        self, quill: Quill, segments: int
    ) -> None:
        store_all(quill, (plain(n) for n in range(450)))
        received: list[str] = []
        lock = Lock()

        def change(item: Item) -> Item:
            with lock:
                received.append(item["pk"]["S"])
            return MARK

        with on_the_wire(quill) as sent:
            step = backfill(quill, change, segments=segments)
        assert sorted(received) == sorted(f"P{n}" for n in range(450))
        assert (step.changed, marks(quill)) == (450, 450)
        assert step.seen >= 450
        assert sent.count("UpdateItem") == 450
        with on_the_wire(quill) as sent:
            assert backfill(quill, segments=segments).changed == 0
        assert "UpdateItem" not in sent

    def test_backfill_kind_skips_other_kinds(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(5)))
        quill.interactions.record(interaction())
        received: list[str] = []
        backfill(quill, lambda item: received.append(item["kind"]["S"]) or {})  # type: ignore[func-returns-value]
        assert set(received) == {"plain"}
        received.clear()
        backfill(quill, lambda item: received.append(item["kind"]["S"]) or {}, kind=None)  # type: ignore[func-returns-value]
        assert {"plain", "interaction", "job_run"} <= set(received)

    def test_backfill_index_changes_its_items(self, quill: Quill) -> None:
        days = [NOON + n * DAY for n in range(250)]
        quill.interactions.record_many(
            interaction(f"i{n}", started_at=day, agent_id="a" if n % 2 else None)
            for n, day in enumerate(days)
        )
        reported: list[Progress] = []
        step = backfill(
            quill, index="gsi1", kind="interaction", listener=Listener(progress=reported.append)
        )
        assert step.changed == 125
        marked = [item for item in scanned(quill, "interaction") if "mark" in item]
        assert {item["agent_id"]["S"] for item in marked} == {"a"}
        assert reported[-1].seen == reported[-1].total == step.seen

    def test_backfill_missing_index_raises_quill_error(self, quill: Quill) -> None:
        with pytest.raises(QuillError, match="gsi9"):
            backfill(quill, index="gsi9")

    @pytest.mark.parametrize("segments", [0, 17])
    def test_backfill_invalid_segments_raises_invalid_value(
        self, quill: Quill, segments: int
    ) -> None:
        with pytest.raises(InvalidValue, match="1 to 16"):
            backfill(quill, segments=segments)

    def test_backfill_equal_attributes_writes_nothing(self, quill: Quill) -> None:
        store_all(quill, [plain(1, **MARK), plain(2, other={"S": "y"})])
        assert backfill(quill, lambda _: {**MARK, "other": {"S": "y"}}).changed == 2
        assert backfill(quill, lambda _: {**MARK, "other": {"S": "y"}}).changed == 0


class TestWriters:
    """Writes between the read and the update of an item."""

    @pytest.mark.parametrize("with_token", [True, False])
    def test_backfill_concurrent_write_is_kept_and_changed(
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

    def test_backfill_concurrent_complete_write_is_unchanged(self, quill: Quill) -> None:
        store(quill, plain(1))

        def change(item: Item) -> Item:
            if "mark" in item:
                return {}
            store(quill, plain(1, mark={"S": "theirs"}, write_token={"S": "theirs"}))
            return MARK

        assert backfill(quill, change).changed == 0
        assert stored(quill, key(1)) == plain(1, mark={"S": "theirs"}, write_token={"S": "theirs"})

    @pytest.mark.parametrize("with_token", [True, False])
    def test_backfill_concurrent_delete_does_not_restore_item(
        self, quill: Quill, with_token: bool
    ) -> None:
        item = plain(1)
        if not with_token:
            del item["write_token"]
        store(quill, item)

        def change(_: Item) -> Item:
            quill.store.delete(key(1))
            return MARK

        assert backfill(quill, change).changed == 0
        assert stored(quill, key(1)) is None

    def test_put_item_read_before_backfill_returns_updated(self, quill: Quill) -> None:
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

    def test_backfill_expired_item_is_skipped(self, quill: Quill) -> None:
        # The server does not delete items that expired more than five years ago.
        store_all(quill, [plain(1, ttl={"N": "1000"}), plain(2, ttl={"N": "99999999999"})])
        assert backfill(quill).changed == 1
        assert stored(quill, key(1)) == plain(1, ttl={"N": "1000"})

    def test_backfill_lost_response_changes_each_item_once(
        self, quill: Quill, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        store_all(quill, (plain(n) for n in range(20)))
        proxy.lose("UpdateItem", times=5)
        assert backfill(behind_proxy).changed == 20
        assert marks(quill) == 20


class TestErrors:
    @pytest.mark.parametrize("name", ["pk", "sk", "write_token", "created_token"])
    def test_backfill_key_or_token_attribute_raises_quill_error(
        self, quill: Quill, name: str
    ) -> None:
        store(quill, plain(1))
        with pytest.raises(QuillError, match=f"P1 / - .*must not return {name}"):
            backfill(quill, lambda _: {name: {"S": "y"}})
        assert stored(quill, key(1)) == plain(1)

    def test_backfill_failed_change_error_has_the_key(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(300)))

        def change(item: Item) -> Item:
            if item["pk"]["S"] == "P77":
                raise KeyError("value")
            return MARK

        with pytest.raises(QuillError, match=r"P77 / - .*KeyError: 'value'"):
            backfill(quill, change)
        assert "mark" not in (stored(quill, key(77)) or {})

    def test_backfill_rejected_update_error_has_the_key(self, quill: Quill) -> None:
        store(quill, plain(1))
        with pytest.raises(QuillError, match=r"P1 / - .*ValidationException"):
            backfill(quill, lambda _: {"gsi1pk": {"N": "1"}})

    def test_backfill_lost_lease_raises_lease_lost(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(300)))

        def change(_: Item) -> Item:
            quill.job_runs.cancel(JOB, WINDOW)
            time.sleep(0.02)
            return MARK

        with pytest.raises(LeaseLost):
            backfill(quill, change, lease=3 * SECOND)
        assert marks(quill) < 300


class Broken(Exception):
    """The error that stops a backfill."""


def broken_after(number: int) -> Change:
    """Return a change that marks a number of items and then fails."""
    left = [number]
    lock = Lock()

    def change(_: Item) -> Item:
        with lock:
            left[0] -= 1
            if left[0] < 0:
                raise Broken
        return MARK

    return change


class TestResume:
    @pytest.mark.parametrize("after", [0, 390])
    def test_backfill_after_error_continues_at_position(self, quill: Quill, after: int) -> None:
        store_all(quill, (plain(n) for n in range(600)))
        with pytest.raises(QuillError, match="Broken"):
            backfill(quill, broken_after(after), segments=2)
        done = marks(quill)
        assert after - 1 <= done <= after
        received: list[Item] = []
        reported: list[str] = []
        step = backfill(
            quill,
            lambda item: received.append(item) or MARK,  # type: ignore[func-returns-value]
            segments=2,
            listener=Listener(reported.append),
        )
        assert marks(quill) == 600
        # At most one page of each segment is read again, and no item is written again.
        assert 600 - done <= len(received) <= 600 - done + 2 * 100
        assert sum("mark" not in item for item in received) == 600 - done
        assert step.seen >= 600
        assert step.changed >= 600 - 2 * 100
        assert bool(reported) == (len(received) < 600)

    def test_backfill_changed_source_starts_again(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(600)))
        with pytest.raises(QuillError):
            backfill(quill, broken_after(500), segments=2)
        changed_source = {**IDENTITY, "checksum": "d"}
        other = {"mark": {"S": "right"}}
        assert backfill(quill, lambda _: other, segments=2, identity=changed_source).changed == 600
        assert {item["mark"]["S"] for item in scanned(quill, "plain")} == {"right"}

    def test_backfill_finished_one_is_not_scanned_again(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(300)))

        def both(first: Change, second: Change) -> Step:
            with quill.job_runs.start(JOB, WINDOW, LEASE, force=True) as run:
                step = Step(quill._table, IDENTITY, run, Listener())
                for change in (first, second):
                    step.backfill(change, kind="plain")
            return step

        received: list[Item] = []
        with pytest.raises(QuillError, match="Broken"):
            both(lambda _: {}, broken_after(200))
        step = both(lambda item: received.append(item) or {}, lambda _: MARK)  # type: ignore[func-returns-value]
        assert received == []
        assert marks(quill) == 300
        assert step.seen >= 600

    def test_backfill_keyboard_interrupt_saves_position(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(600)))
        reported: list[Progress] = []

        def interrupt(progress: Progress) -> None:
            reported.append(progress)
            if progress.seen > 200:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            backfill(quill, limit=150, listener=Listener(progress=interrupt))
        assert marks(quill) < 600
        run = quill.job_runs.get(JOB, WINDOW)
        assert run is not None
        (position,) = run.checkpoint["backfills"]
        assert sum(segment["seen"] for segment in position["segments"]) >= 200
        backfill(quill)
        assert marks(quill) == 600


class TestRateLimit:
    def test_backfill_migrator_limit_overrides_its_own(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(60)))
        reported: list[Progress] = []
        started = time.monotonic()
        # The limit of the migrator overrides the one of the backfill.
        backfill(quill, limit=30, write_units=1, listener=Listener(progress=reported.append))
        elapsed = time.monotonic() - started
        # 60 units, and each of the four threads can be one unit ahead.
        assert (60 - 4) / 30 <= elapsed < 30
        assert [each.seen for each in reported] == sorted(each.seen for each in reported)
        assert reported[-1].left == 0

    def test_backfill_own_limit_slows_writes(self, quill: Quill) -> None:
        store_all(quill, (plain(n) for n in range(30)))
        started = time.monotonic()
        backfill(quill, write_units=20, segments=1)
        assert time.monotonic() - started >= 29 / 20

    def test_backfill_limit_counts_index_units(self, quill: Quill) -> None:
        metrics = [
            Metric(scope=f"agent:{n}", name="c", grain="hour", bucket_start=NOON, value=1)
            for n in range(20)
        ]
        store_all(quill, (old_item(quill, metric) for metric in metrics))
        started = time.monotonic()
        listed = {ADDED[0]: {"S": "D"}, ADDED[1]: {"S": "1"}}
        backfill(quill, lambda _: listed, kind="metric", limit=40, segments=1)
        # Each write consumes units of the table, the existing index and the new one.
        assert time.monotonic() - started >= 3 * 19 / 40
