"""Bringing the live table to what it shall be, one change at a time."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from quill_models.dynamodb.table import Table
from quill_models.schema.declared import Declared
from quill_models.schema.differences import Change, Difference, differences
from quill_models.schema.live import Live, described, is_local, read_live
from quill_models.values.errors import (
    LocalServerError,
    RequestRejected,
    SchemaMismatch,
    TableNotFound,
    Throttled,
)

_log = logging.getLogger("quill_models.schema")

__all__ = ["Application", "Report", "until_gone"]

Report = Callable[[str], None]

# Between two looks at a table that is being changed: longer each time, as an index of a large
# table takes hours.
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# A change that is refused may be on its way by another process: look again, so many times.
_TRIES = 5
_AGAIN_SECONDS = 1.0
# In a log, so that one sees that it still waits.
_TELL_AGAIN_SECONDS = 30.0
# DynamoDB Local begins with an index within a second or two, or never: it has ten threads for such
# work, of which each table with TTL keeps one.
_STUCK_SECONDS = 60.0


class Application:
    """One run of ``quill schema apply``.

    Attributes:
        done: what was done so far, in words.
        created: whether this run created the table.
    """

    def __init__(self, table: Table, declared: Declared, done: Report, progress: Report) -> None:
        self._table = table
        self._declared = declared
        self._report = done
        self._progress = progress
        self.done: list[str] = []
        self.created = False

    def run(self, delete_indexes: Collection[str]) -> None:
        """Make the table, or change one thing after the other until nothing is left to do.

        Raises:
            SchemaMismatch: something cannot be mended, or not without deleting an index.
            LocalServerError: DynamoDB Local has no thread left for an index.
        """
        live = described(self._table)
        self._refuse_unknown(delete_indexes, live)
        if live is None:
            self._create()
        refused: Counter[str] = Counter()
        while (change := self._next(delete_indexes)) is not None:
            try:
                self._table.client.request(change.operation, **change.parameters)
            except (RequestRejected, Throttled):
                refused[change.step] += 1
                if refused[change.step] == _TRIES:
                    raise
                time.sleep(_AGAIN_SECONDS)
                continue
            self._settled()
            self._did(change.step)

    def _did(self, step: str) -> None:
        self.done.append(step)
        _log.info("Table %r: %s", self._table.name, step, extra={"quill_table": self._table.name})
        self._report(step)

    def _create(self) -> None:
        parameters = self._declared.create_parameters()
        try:
            self._table.request("create_table", **parameters)
        except RequestRejected as rejected:
            # Another process is creating it.
            if rejected.code != "ResourceInUseException":
                raise
            return
        self.created = True
        indexes = len(parameters["GlobalSecondaryIndexes"])
        stream = "its" if self._declared.stream else "no"
        self._settled()
        self._did(
            f"created the table {self._table.name!r} with {indexes} indexes and {stream} stream"
        )

    def _refuse_unknown(
        self, delete_indexes: Collection[str], live: Mapping[str, Any] | None
    ) -> None:
        """A name that is mistyped must not pass for done; one that is as it shall be is done."""
        known = {
            each["IndexName"]
            for table in (self._declared.table, live or {})
            for each in table.get("GlobalSecondaryIndexes", [])
        }
        if wrong := sorted(set(delete_indexes) - known):
            raise SchemaMismatch(
                f"The table {self._table.name!r} has no index {', '.join(map(repr, wrong))}, and "
                "the models declare none of that name. Nothing was changed."
            )

    def _next(self, delete_indexes: Collection[str]) -> Change | None:
        found = differences(self._declared, self._live())
        may_be = [
            each.change
            for each in found
            if each.change is not None
            and (each.change.deletes is None or each.change.deletes in delete_indexes)
        ]
        # Before anything is changed: it may be another's table.
        if harmful := [each for each in found if each.harmful and each.change not in may_be]:
            raise _mismatch(self._table.name, harmful)
        return may_be[0] if may_be else None

    def _live(self) -> Live:
        return read_live(self._table, self._settled(), self._declared)

    def _settled(self) -> dict[str, Any]:
        """The table, once nothing about it is being changed."""
        pause, last = _FIRST_PAUSE_SECONDS, ""
        begun = told = time.monotonic()
        while True:
            live = described(self._table)
            if live is None:
                raise TableNotFound(
                    f"The table {self._table.name!r} was deleted while it was being changed. Run "
                    "quill schema apply again."
                )
            waiting_for = _unsettled(live)
            if waiting_for is None:
                return live
            now = time.monotonic()
            if waiting_for != last:
                self._progress(waiting_for)
                last, told = waiting_for, now
            elif now - begun > _STUCK_SECONDS and _is_stuck(live):
                raise LocalServerError(
                    f"{waiting_for}, for {now - begun:.0f} s now. DynamoDB Local makes and deletes "
                    "no index where seven or more of its tables have TTL. Delete some, or restart "
                    "it where it is in memory, and run quill schema apply again."
                )
            elif now - told >= _TELL_AGAIN_SECONDS:
                self._progress(f"{waiting_for}, for {now - begun:.0f} s now")
                told = now
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.5)


def until_gone(table: Table) -> None:
    """Wait until a table that is being deleted no longer is there."""
    pause = _FIRST_PAUSE_SECONDS
    while described(table) is not None:
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.5)


def _unsettled(live: Mapping[str, Any]) -> str | None:
    """What of a table is being changed, in words."""
    for index in live.get("GlobalSecondaryIndexes", []):
        status = index["IndexStatus"]
        if status != "ACTIVE":
            filled = ""
            if index.get("Backfilling"):
                filled = (
                    f": {index.get('ItemCount', 0):,} items so far, the table has about "
                    f"{live.get('ItemCount', 0):,}"
                )
            return f"index {index['IndexName']!r} is {status.lower()}{filled}"
    status = live["TableStatus"]
    return None if status == "ACTIVE" else f"the table is {status.lower()}"


def _is_stuck(live: Mapping[str, Any]) -> bool:
    return is_local(live) and any(
        index["IndexStatus"] in {"CREATING", "DELETING"} and not index.get("Backfilling")
        for index in live.get("GlobalSecondaryIndexes", [])
    )


def _mismatch(name: str, found: list[Difference]) -> SchemaMismatch:
    lines = (
        f"  {each.what} is {each.live}; it shall be {each.declared}. {each.remedy}"
        for each in found
    )
    return SchemaMismatch(
        "\n".join([f"The table {name!r} is not what the models declare:", *lines])
    )
