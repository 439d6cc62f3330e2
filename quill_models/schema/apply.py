"""Bringing the live table to what it shall be, one change at a time."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quill_models.dynamodb.table import Table
from quill_models.schema.declared import Declared
from quill_models.schema.differences import Change, differences
from quill_models.schema.live import described, is_local, read_live
from quill_models.values.errors import (
    LocalServerError,
    RequestRejected,
    SchemaMismatch,
    TableNotFound,
    Throttled,
)

_log = logging.getLogger("quill_models.schema")

__all__ = ["Application", "StepReport", "until_gone"]

StepReport = Callable[[str], None]

# A change that is refused may be in progress by another process: so often it is tried.
_TRIES = 5
_RETRY_SECONDS = 1.0
# In a log, so that one sees that it still waits.
_TELL_AGAIN_SECONDS = 30.0
# DynamoDB Local begins with an index within a second or two, or never: it has ten threads for such
# work, of which each table with TTL keeps one.
_STUCK_SECONDS = 60.0


@dataclass(frozen=True)
class Application:
    """One run of ``quill schema apply``, which reports what it has done and what it waits for."""

    table: Table
    declared: Declared
    done: StepReport
    progress: StepReport

    def run(self, delete_indexes: Collection[str]) -> bool:
        """Make the table, or change one thing after the other; whether this created the table.

        Raises:
            SchemaMismatch: something cannot be mended, or not without deleting an index.
            LocalServerError: DynamoDB Local has no thread left for an index.
        """
        live = described(self.table)
        self._refuse_unknown(delete_indexes, live)
        created = live is None and self._create()
        refused: Counter[str] = Counter()
        while (change := self._next(delete_indexes)) is not None:
            try:
                self.table.client.request(change.operation, **change.parameters)
            except (RequestRejected, Throttled):
                refused[change.step] += 1
                if refused[change.step] == _TRIES:
                    raise
                time.sleep(_RETRY_SECONDS)
                continue
            self._settle(change.step)
        return created

    def _refuse_unknown(
        self, delete_indexes: Collection[str], live: Mapping[str, Any] | None
    ) -> None:
        """A name that is mistyped must not pass for done; one that is as it shall be is done."""
        known = {
            each["IndexName"]
            for table in (self.declared.table, live or {})
            for each in table.get("GlobalSecondaryIndexes", [])
        }
        if wrong := sorted(set(delete_indexes) - known):
            raise SchemaMismatch(
                f"The table {self.table.name!r} has no index {', '.join(map(repr, wrong))}, and "
                "the models declare none of that name. Nothing was changed."
            )

    def _create(self) -> bool:
        parameters = self.declared.create_parameters()
        try:
            self.table.request("create_table", **parameters)
        except RequestRejected as rejected:
            # Another process is creating it.
            if rejected.code != "ResourceInUseException":
                raise
            return False
        indexes = len(parameters["GlobalSecondaryIndexes"])
        stream = "its" if self.declared.stream else "no"
        self._settle(
            f"created the table {self.table.name!r} with {indexes} indexes and {stream} stream"
        )
        return True

    def _settle(self, step: str) -> None:
        self._settled()
        _log.info("Table %r: %s", self.table.name, step, extra={"quill_table": self.table.name})
        self.done(step)

    def _next(self, delete_indexes: Collection[str]) -> Change | None:
        found = differences(self.declared, read_live(self.table, self._settled(), self.declared))
        allowed = [
            each.change
            for each in found
            if each.change is not None
            and (each.change.deletes is None or each.change.deletes in delete_indexes)
        ]
        # Before anything is changed: it may be another's table.
        if harmful := [each for each in found if each.harmful and each.change not in allowed]:
            lines = (
                f"\n  {each.what} is {each.live}; it shall be {each.declared}. {each.remedy}"
                for each in harmful
            )
            raise SchemaMismatch(
                f"The table {self.table.name!r} is not what the models declare:{''.join(lines)}"
            )
        return allowed[0] if allowed else None

    def _settled(self) -> dict[str, Any]:
        """The table, once nothing about it is being changed."""
        last = ""
        begun = told = time.monotonic()
        pauses = _pauses()
        while True:
            live = described(self.table)
            if live is None:
                raise TableNotFound(
                    f"The table {self.table.name!r} was deleted while it was being changed. Run "
                    "quill schema apply again."
                )
            waiting_for = _unsettled(live)
            if waiting_for is None:
                return live
            now = time.monotonic()
            if waiting_for != last:
                self.progress(waiting_for)
                last, told = waiting_for, now
            elif now - begun > _STUCK_SECONDS and _is_stuck(live):
                raise LocalServerError(
                    f"{waiting_for}, for {now - begun:.0f} s now. DynamoDB Local makes and deletes "
                    "no index where seven or more of its tables have TTL. Delete some, or restart "
                    "it where it is in memory, and run quill schema apply again."
                )
            elif now - told >= _TELL_AGAIN_SECONDS:
                self.progress(f"{waiting_for}, for {now - begun:.0f} s now")
                told = now
            time.sleep(next(pauses))


def until_gone(table: Table) -> None:
    """Wait until a table that is being deleted no longer is there."""
    pauses = _pauses()
    while described(table) is not None:
        time.sleep(next(pauses))


def _pauses() -> Iterator[float]:
    """The seconds between two looks: longer each time, as an index may take hours."""
    pause = 0.2
    while True:
        yield pause
        pause = min(5.0, pause * 1.5)


def _unsettled(live: Mapping[str, Any]) -> str | None:
    """What of a table is being changed, in words."""
    for index in live.get("GlobalSecondaryIndexes", []):
        if (status := index["IndexStatus"]) != "ACTIVE":
            words = f"index {index['IndexName']!r} is {status.lower()}"
            if not index.get("Backfilling"):
                return words
            count, of = index.get("ItemCount", 0), live.get("ItemCount", 0)
            return f"{words}: {count:,} items so far, the table has about {of:,}"
    status = live["TableStatus"]
    return None if status == "ACTIVE" else f"the table is {status.lower()}"


def _is_stuck(live: Mapping[str, Any]) -> bool:
    return is_local(live) and any(
        index["IndexStatus"] in {"CREATING", "DELETING"} and not index.get("Backfilling")
        for index in live.get("GlobalSecondaryIndexes", [])
    )
