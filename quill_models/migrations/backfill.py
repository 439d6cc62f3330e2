"""A backfill, which scans a table in use and sets attributes of its items.

It scans in parallel segments with strong consistency. An item is updated on the condition that it
still has the ``write_token`` that was read, and keeps that token. So a concurrent write is never
undone, and a writer that read the token before the backfill can still write.
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

# The position moves with each page, so only one small page is read again after a crash.
_PAGE = 100
_POLL_SECONDS = 0.5
# Each save of the position writes the job run, for five write units.
_SAVE_SECONDS = 2.0
# They identify the item and the write that stored it.
_FIXED_ATTRIBUTES = frozenset({PK, SK, WRITE_TOKEN, CREATED_TOKEN})


@dataclass
class Backfill:
    """A backfill from a position, which moves with each page; see `Step.backfill`.

    ``check`` is called for each page and before each write. It raises if the backfill has to stop.
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
            self._change_page,
            self.position,
            kinds=None if self.kind is None else [self.kind],
            page_items=_PAGE,
            consistent=self.position.index is None,
        )

    def run(self, save: Callable[[], None], report: Callable[[Progress], None]) -> None:
        """Scan to the end, and save the position every two seconds, at the end and on errors.

        Raises:
            QuillError: An item could not be changed. The message has its key.
        """
        if all(segment.ended for segment in self.position.segments):
            return
        total, seen_before = self._item_count(), self.position.seen
        started = saved_at = time.monotonic()
        ended = False
        try:
            with self._scan:
                while not ended:
                    ended = self._scan.wait(_POLL_SECONDS)
                    now = time.monotonic()
                    if ended or now - saved_at >= _SAVE_SECONDS:
                        save()
                        saved_at = now
                    elapsed = now - started
                    report(Progress.of(self.position, total, seen_before, elapsed))
        except BaseException:
            # If the save fails too, raise the first error. A few pages are then read again.
            with suppress(QuillError):
                save()
            raise

    def _item_count(self) -> int:
        table, name = self.table.request("describe_table")["Table"], self.position.index
        indexes = {each["IndexName"]: each for each in table.get("GlobalSecondaryIndexes", ())}
        described = table if name is None else indexes.get(name)
        if described is None:
            raise InvalidValue(f"table {self.table.name} has no index {name}; check index=")
        return int(described.get("ItemCount", 0))

    def _change_page(self, page: RawPage) -> int:
        """Change items of a page, in the thread of its segment. Return how many changed."""
        self.check()
        changed = 0
        for item in page.items:
            try:
                changed += self._change_item(item)
            except LeaseLost:
                raise
            except Exception as error:
                key = key_of(item)
                raise QuillError(
                    f"item {key.pk} / {key.sk} cannot be changed: {type(error).__name__}: {error}"
                ) from error
            if self._scan.stopped.is_set():
                break
        return changed

    def _change_item(self, found: RawItem) -> bool:
        """Change an item if it needs it. Return whether it changed."""
        item: RawItem | None = found
        while item is not None and is_live(item, self.table.clock()):
            sets = self._sets(item)
            if not sets or not self.rate_limit.wait(self._scan.stopped):
                return False
            self.check()
            try:
                response = self.table.request("update_item", **_update(item, sets))
            except ConditionFailed as failure:
                # Another writer changed the item. A failed condition costs a unit, too.
                self.rate_limit.consume(1)
                item = failure.item or self.table.get(key_of(found))
                continue
            self.rate_limit.consume(response["ConsumedCapacity"]["CapacityUnits"])
            return True
        return False

    def _sets(self, item: RawItem) -> RawItem:
        wanted = dict(self.change(item) or {})
        if fixed := sorted(_FIXED_ATTRIBUTES.intersection(wanted)):
            names = ", ".join(fixed)
            raise InvalidValue(f"change() must not return {names}; it identifies the item or write")
        return {name: value for name, value in wanted.items() if item.get(name) != value}


def _update(item: RawItem, sets: RawItem) -> dict[str, Any]:
    """Return an update that needs the item as it was read, and never creates it."""
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
