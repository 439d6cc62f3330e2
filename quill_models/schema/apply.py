"""Bringing the live table to what it shall be, one change at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from quill_models.errors import RequestRejected, SchemaMismatch, TableNotFound, Throttled
from quill_models.schema.declared import Declared
from quill_models.schema.differences import Change, Difference, differences
from quill_models.schema.live import Live, described, read_live
from quill_models.table import Table

__all__ = ["Application", "Report", "until_gone"]

Report = Callable[[str], None]

# Between two looks at a table that is being changed: longer each time, as an index of a large
# table takes hours.
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# A change that is refused may be on its way by another process: look again, so many times.
_TRIES = 5
_AGAIN_SECONDS = 1.0


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
        """
        if described(self._table) is None:
            self._create()
        if delete_indexes:
            self._refuse_unknown(delete_indexes)
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

    def _refuse_unknown(self, delete_indexes: Collection[str]) -> None:
        """A name that is mistyped, or that needs no deleting, must not pass for done."""
        found = self._differences()
        deletable = {each.change.deletes for each in found if each.change is not None}
        if wrong := sorted(set(delete_indexes) - deletable):
            raise SchemaMismatch(
                f"These are no indexes that may be deleted: {', '.join(wrong)}. There may be one "
                "that the models do not declare, or not as it is; quill schema diff shows them."
            )

    def _next(self, delete_indexes: Collection[str]) -> Change | None:
        found = self._differences()
        for each in found:
            change = each.change
            if change is not None and (change.deletes is None or change.deletes in delete_indexes):
                return change
        if harmful := [each for each in found if each.harmful]:
            raise _mismatch(self._table.name, harmful)
        return None

    def _differences(self) -> list[Difference]:
        found = differences(self._declared, self._live())
        if unmendable := [each for each in found if each.change is None]:
            raise _mismatch(self._table.name, unmendable)
        return found

    def _live(self) -> Live:
        return read_live(self._table, self._settled(), self._declared)

    def _settled(self) -> dict[str, Any]:
        """The table, once nothing about it is being changed."""
        pause, last = _FIRST_PAUSE_SECONDS, ""
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
            if waiting_for != last:
                self._progress(waiting_for)
                last = waiting_for
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


def _mismatch(name: str, found: list[Difference]) -> SchemaMismatch:
    lines = (
        f"  {each.what} is {each.live}; it shall be {each.declared}. {each.remedy}"
        for each in found
    )
    return SchemaMismatch(
        "\n".join([f"The table {name!r} is not what the models declare:", *lines])
    )
