"""A backfill: reads a table in use, and sets what its items lack.

It reads in parallel segments and with strong consistency. An item is changed on the condition that
it still carries the ``write_token`` that was read, and keeps that token. So a write that came
between is never undone, and a writer that read the token before the backfill can still write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from quill_models.dynamodb.items import (
    CREATED_TOKEN,
    PK,
    SK,
    WRITE_TOKEN,
    Condition,
    RawItem,
    is_live,
    key_of,
    raw_key,
    token_of,
)
from quill_models.dynamodb.pages import RawPage
from quill_models.dynamodb.rate_limit import RateLimit
from quill_models.dynamodb.service_errors import ConditionFailed
from quill_models.dynamodb.table import Table
from quill_models.reads.parallel_scan import ParallelScan, Progress, ScanPosition
from quill_models.values.errors import InvalidValue, LeaseLost, QuillError

__all__ = ["Backfill", "ItemChange"]

ItemChange = Callable[[RawItem], Mapping[str, Any] | None]

# Small pages: the position moves with each, and only a page is read again after a crash.
_PAGE = 100
_LOOK_SECONDS = 0.5
# Each save of the position is a write of the run: five write units.
_SAVE_SECONDS = 2.0
# They say which item it is and which write stored it; no reader may lose those.
_NOT_SET = frozenset({PK, SK, WRITE_TOKEN, CREATED_TOKEN})


@dataclass
class Backfill:
    """One backfill from a position, which moves with each page; see `Step.backfill`.

    ``check`` is called with each page and before each write; it raises if the backfill has to stop.
    """

    table: Table
    change: ItemChange
    position: ScanPosition
    kind: str | None
    rate_limit: RateLimit
    check: Callable[[], None]

    def __post_init__(self) -> None:
        self._scan = ParallelScan(
            self.table,
            self._fill,
            self.position,
            kinds=None if self.kind is None else [self.kind],
            page_items=_PAGE,
            consistent=self.position.index is None,
        )

    def run(self, save: Callable[[], None], report: Callable[[Progress], None]) -> None:
        """Read to the end.

        Calls ``save`` in this thread every other second, at the end, and when something goes wrong.
        A `QuillError` names the key of an item that could not be changed.
        """
        if all(segment.ended for segment in self.position.segments):
            return
        total, begun_with = self._item_count(), self.position.seen
        started = saved_at = time.monotonic()
        ended = False
        try:
            with self._scan:
                while not ended:
                    ended = self._scan.wait(_LOOK_SECONDS)
                    now = time.monotonic()
                    if ended or now - saved_at >= _SAVE_SECONDS:
                        save()
                        saved_at = now
                    elapsed = now - started
                    report(Progress.of(self.position, total, begun_with, elapsed))
        except BaseException:
            # The error is the one to raise; without the position a little is read again.
            with suppress(QuillError):
                save()
            raise

    def _item_count(self) -> int:
        """About how many items there are to read."""
        table, name = self.table.request("describe_table")["Table"], self.position.index
        indexes = {each["IndexName"]: each for each in table.get("GlobalSecondaryIndexes", ())}
        described = table if name is None else indexes.get(name)
        if described is None:
            raise InvalidValue(f"the table {self.table.name!r} has no index {name!r} to read")
        return int(described.get("ItemCount", 0))

    # In a thread for each segment.

    def _fill(self, page: RawPage) -> int:
        """Change those items of a page that need it; how many it changed."""
        self.check()
        changed = 0
        for item in page.items:
            try:
                changed += self._filled(item)
            except LeaseLost:
                raise
            except Exception as error:
                key = key_of(item)
                raise QuillError(
                    f"{key.pk} / {key.sk} could not be changed: {type(error).__name__}: {error}"
                ) from error
            if self._scan.stopped.is_set():
                break
        return changed

    def _filled(self, found: RawItem) -> bool:
        """Whether it changed an item."""
        item: RawItem | None = found
        while item is not None and is_live(item, self.table.clock()):
            sets = self._sets(item)
            if not sets or not self.rate_limit.wait(self._scan.stopped):
                return False
            self.check()
            try:
                answer = self.table.request("update_item", **_update(item, sets))
            except ConditionFailed as failure:
                # Refused, and paid for. Another wrote it: what it says now is what counts.
                self.rate_limit.consume(1)
                item = failure.item or self.table.get(key_of(found))
                continue
            self.rate_limit.consume(answer["ConsumedCapacity"]["CapacityUnits"])
            return True
        return False

    def _sets(self, item: RawItem) -> RawItem:
        wanted = dict(self.change(item) or {})
        refused = sorted(_NOT_SET.intersection(wanted))
        if refused:
            raise InvalidValue(f"a backfill may not set {', '.join(refused)}")
        return {name: value for name, value in wanted.items() if item.get(name) != value}


def _update(item: RawItem, sets: RawItem) -> dict[str, Any]:
    """Set attributes of an item that is as it was read. One that is gone stays so."""
    unchanged = Condition.unchanged_since(token_of(item))
    names = {f"#s{at}": name for at, name in enumerate(sets)}
    condition = Condition(
        f"attribute_exists(#pk) AND {unchanged.expression}",
        {**unchanged.names, "#pk": PK, **names},
        {**unchanged.values, **{f":s{at}": value for at, value in enumerate(sets.values())}},
    )
    return {
        "Key": raw_key(key_of(item)),
        "UpdateExpression": "SET " + ", ".join(f"#s{at} = :s{at}" for at in range(len(sets))),
        "ReturnConsumedCapacity": "TOTAL",
        **condition.parameters(),
    }
