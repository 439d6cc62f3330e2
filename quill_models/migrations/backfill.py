"""A backfill: goes through a table in use, and sets what its items lack.

It walks in parallel segments and reads with strong consistency. An item is changed on the
condition that it still carries the ``write_token`` that was read, and keeps that token. So a
writer that came between is never undone, and one that comes after with the token it read still
replaces what it meant to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
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
from quill_models.dynamodb.rate_limit import Pace
from quill_models.dynamodb.service_errors import ConditionFailed
from quill_models.dynamodb.table import Table
from quill_models.migrations.place import Place, Segment
from quill_models.telemetry.operations import Threads
from quill_models.values.errors import InvalidValue, LeaseLost, QuillError

__all__ = ["Backfill", "Change", "Progress"]

Change = Callable[[RawItem], Mapping[str, Any] | None]

# Small pages: the place moves on with each, and only a page is read again after a crash.
_PAGE = 100
_LOOK_SECONDS = 0.5
# Each save of the place is a write of the run: five write units.
_SAVE_SECONDS = 2.0
# They say which item it is and which write stored it; nothing that reads it may lose those.
_NOT_SET = frozenset({PK, SK, WRITE_TOKEN, CREATED_TOKEN})


@dataclass(frozen=True)
class Progress:
    """How far a backfill is.

    Attributes:
        seen: items that were walked past, also by earlier attempts.
        changed: those of them that were changed.
        total: about how many there are, as ``DescribeTable`` says; on AWS hours old.
        rate: items a second that this attempt walks past.
        left: about how many seconds are left; ``None`` where that cannot be told yet.
    """

    seen: int
    changed: int
    total: int
    rate: float
    left: float | None

    @classmethod
    def of(cls, place: Place, total: int, *, begun_with: int, seconds: float) -> Progress:
        """What a ``place`` says after ``seconds``, with ``begun_with`` items seen before."""
        seen = place.seen
        rate = (seen - begun_with) / seconds if seconds > 0 else 0.0
        if all(segment.ended for segment in place.segments):
            return cls(seen, place.changed, seen, rate, 0.0)
        # Where more turn up than were expected, nobody knows how many more.
        left = (total - seen) / rate if rate > 0 and total > seen else None
        return cls(seen, place.changed, max(total, seen), rate, left)


class Backfill:
    """One walk.

    Args:
        table: whose items.
        change: what to set of an item, see `Step.backfill`.
        place: where to go on. Changes as it walks.
        kind: only items of this kind.
        pace: the limit for writes.
        check: called before each page and each write; raises where it has to stop.
    """

    def __init__(
        self,
        table: Table,
        change: Change,
        place: Place,
        *,
        kind: str | None,
        pace: Pace,
        check: Callable[[], None],
    ) -> None:
        self._table = table
        self._change = change
        self._place = place
        self._kind = kind
        self._pace = pace
        self._check = check
        self._stop = Event()

    def run(self, save: Callable[[], None], tell: Callable[[Progress], None]) -> None:
        """Walk to the end.

        Args:
            save: saves the place. Called from this thread alone, every other second, at the end,
                and when something goes wrong.
            tell: is told how far it is.

        Raises:
            QuillError: for an item that could not be changed, naming its key.
        """
        left = [at for at, segment in enumerate(self._place.segments) if not segment.ended]
        if not left:
            return
        total = self._about()
        try:
            with Threads(len(left), "quill-backfill") as pool:
                try:
                    walks = [pool.submit(self._walk, at) for at in left]
                    self._attend(walks, total, save, tell)
                finally:
                    # The other threads end at their next item.
                    self._stop.set()
        except BaseException:
            # The error is the one to raise; without the place a little is read again.
            with suppress(QuillError):
                save()
            raise

    def _attend(
        self,
        walks: Iterable[Future[None]],
        total: int,
        save: Callable[[], None],
        tell: Callable[[Progress], None],
    ) -> None:
        started = saved_at = time.monotonic()
        begun_with = self._place.seen
        waiting = set(walks)
        while waiting:
            done, waiting = wait(waiting, _LOOK_SECONDS, FIRST_EXCEPTION)
            for walk in done:
                walk.result()
            now = time.monotonic()
            if not waiting or now - saved_at >= _SAVE_SECONDS:
                save()
                saved_at = now
            tell(Progress.of(self._place, total, begun_with=begun_with, seconds=now - started))

    def _about(self) -> int:
        """About how many items there are to walk past."""
        described = self._table.request("describe_table")["Table"]
        if self._place.index is None:
            return int(described["ItemCount"])
        for index in described.get("GlobalSecondaryIndexes", []):
            if index["IndexName"] == self._place.index:
                return int(index.get("ItemCount", 0))
        raise InvalidValue(
            f"the table {self._table.name!r} has no index {self._place.index!r} to walk"
        )

    # In a thread for each segment.

    def _walk(self, at: int) -> None:
        segment = self._place.segments[at]
        while not (segment.ended or self._stop.is_set()):
            self._check()
            page = self._page(at, segment.start)
            changed = 0
            for item in page["Items"]:
                changed += self._fill(item)
                if self._stop.is_set():
                    # The page is not done with, or may not be: it comes again.
                    return
            start = page.get("LastEvaluatedKey")
            segment = Segment(
                start,
                ended=start is None,
                seen=segment.seen + page["ScannedCount"],
                changed=segment.changed + changed,
            )
            self._place.segments[at] = segment

    def _page(self, at: int, start: RawItem | None) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "Segment": at,
            "TotalSegments": len(self._place.segments),
            "Limit": _PAGE,
        }
        if self._place.index is None:
            parameters["ConsistentRead"] = True
        else:
            parameters["IndexName"] = self._place.index
        if self._kind is not None:
            parameters["FilterExpression"] = "#kind = :kind"
            parameters["ExpressionAttributeNames"] = {"#kind": "kind"}
            parameters["ExpressionAttributeValues"] = {":kind": {"S": self._kind}}
        if start is not None:
            parameters["ExclusiveStartKey"] = start
        return self._table.request("scan", **parameters)

    def _fill(self, item: RawItem) -> bool:
        """Change one item, where it needs that; whether this call did."""
        try:
            return self._filled(item)
        except LeaseLost:
            raise
        except Exception as error:
            key = key_of(item)
            raise QuillError(
                f"{key.pk} / {key.sk} could not be changed: {type(error).__name__}: {error}"
            ) from error

    def _filled(self, found: RawItem) -> bool:
        item: RawItem | None = found
        while item is not None and is_live(item, self._table.clock()):
            sets = self._sets(item)
            if not sets or not self._may_write():
                return False
            try:
                answer = self._table.request("update_item", **_update(item, sets))
            except ConditionFailed as failure:
                # Refused, and paid for. Another wrote it: what it says now is what counts.
                self._pace.took(1)
                item = failure.item or self._table.get(key_of(found))
                continue
            self._pace.took(answer["ConsumedCapacity"]["CapacityUnits"])
            return True
        return False

    def _sets(self, item: RawItem) -> RawItem:
        wanted = dict(self._change(item) or {})
        refused = sorted(_NOT_SET.intersection(wanted))
        if refused:
            raise InvalidValue(f"a backfill may not set {', '.join(refused)}")
        return {name: value for name, value in wanted.items() if item.get(name) != value}

    def _may_write(self) -> bool:
        """Wait for one's turn; ``False`` where the walk is over before it comes."""
        while (pause := self._pace.pause()) > 0:
            if self._stop.wait(pause):
                return False
        self._check()
        return True


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
