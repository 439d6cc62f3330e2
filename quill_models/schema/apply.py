"""Changing the live table to the declared schema, one request at a time."""

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

__all__ = ["Application", "StepReport", "wait_until_deleted"]

StepReport = Callable[[str], None]

# A rejected change may be in progress in another process, so it is retried.
_ATTEMPTS = 5
_RETRY_SECONDS = 1.0
_REPORT_SECONDS = 30.0
# DynamoDB Local starts on an index within two seconds or never: it has ten threads for this, and
# each table with TTL occupies one.
_STUCK_SECONDS = 60.0


@dataclass(frozen=True)
class Application:
    """One run of `Schema.apply`, which reports each finished step and what it waits for."""

    table: Table
    declared: Declared
    done: StepReport
    progress: StepReport

    def run(self, delete_indexes: Collection[str]) -> bool:
        """Create or change the table. Return whether this call created it.

        Raises:
            SchemaMismatch: A difference cannot be fixed, or only by deleting an index.
            LocalServerError: DynamoDB Local has no free thread to create an index.
        """
        live = described(self.table)
        self._check_names(delete_indexes, live)
        created = live is None and self._create()
        rejections: Counter[str] = Counter()
        while (change := self._next(delete_indexes)) is not None:
            try:
                self.table.client.request(change.operation, **change.parameters)
            except (RequestRejected, Throttled):
                rejections[change.step] += 1
                if rejections[change.step] == _ATTEMPTS:
                    raise
                time.sleep(_RETRY_SECONDS)
                continue
            self._finish(change.step)
        return created

    def _check_names(self, delete_indexes: Collection[str], live: Mapping[str, Any] | None) -> None:
        known = {
            each["IndexName"]
            for table in (self.declared.table, live or {})
            for each in table.get("GlobalSecondaryIndexes", [])
        }
        if unknown := sorted(set(delete_indexes) - known):
            raise SchemaMismatch(
                f"Neither the table {self.table.name} nor the models have an index "
                f"{', '.join(unknown)}. Nothing was changed. Check the name."
            )

    def _create(self) -> bool:
        parameters = self.declared.create_parameters()
        try:
            self.table.request("create_table", **parameters)
        except RequestRejected as rejected:
            # Another process creates the table.
            if rejected.code != "ResourceInUseException":
                raise
            return False
        indexes = len(parameters["GlobalSecondaryIndexes"])
        stream = "its" if self.declared.stream else "no"
        self._finish(
            f"created the table '{self.table.name}' with {indexes} indexes and {stream} stream"
        )
        return True

    def _finish(self, step: str) -> None:
        self._wait_until_active()
        _log.info("Table '%s': %s", self.table.name, step, extra={"quill_table": self.table.name})
        self.done(step)

    def _next(self, delete_indexes: Collection[str]) -> Change | None:
        found = differences(
            self.declared, read_live(self.table, self._wait_until_active(), self.declared)
        )
        allowed = [
            each.change
            for each in found
            if each.change is not None
            and (each.change.deletes is None or each.change.deletes in delete_indexes)
        ]
        # Raise before any change, because the table may belong to another program.
        if harmful := [each for each in found if each.harmful and each.change not in allowed]:
            lines = (
                f"\n  {each.what}: expected {each.declared}, got {each.live}. {each.remedy}"
                for each in harmful
            )
            raise SchemaMismatch(
                f"The table '{self.table.name}' is not what the models declare:{''.join(lines)}"
            )
        return allowed[0] if allowed else None

    def _wait_until_active(self) -> dict[str, Any]:
        """Wait until no change of the table is in progress, and return its description."""
        last = ""
        started = reported = time.monotonic()
        delays = _poll_delays()
        while True:
            live = described(self.table)
            if live is None:
                raise TableNotFound(
                    f"The table '{self.table.name}' was deleted while it was being changed. Run "
                    "quill schema apply again."
                )
            waiting_for = _change_in_progress(live)
            if waiting_for is None:
                return live
            now = time.monotonic()
            if waiting_for != last:
                self.progress(waiting_for)
                last, reported = waiting_for, now
            elif now - started > _STUCK_SECONDS and _is_stuck(live):
                raise LocalServerError(
                    f"{waiting_for}, for {now - started:.0f} s now. DynamoDB Local cannot change "
                    "an index if seven or more of its tables have TTL. Delete some, or restart a "
                    "server in memory, and run quill schema apply again."
                )
            elif now - reported >= _REPORT_SECONDS:
                self.progress(f"{waiting_for}, for {now - started:.0f} s now")
                reported = now
            time.sleep(next(delays))


def wait_until_deleted(table: Table) -> None:
    """Wait until a table that is being deleted no longer exists."""
    delays = _poll_delays()
    while described(table) is not None:
        time.sleep(next(delays))


def _poll_delays() -> Iterator[float]:
    """Yield growing delays in seconds, because an index can take hours."""
    delay = 0.2
    while True:
        yield delay
        delay = min(5.0, delay * 1.5)


def _change_in_progress(live: Mapping[str, Any]) -> str | None:
    for index in live.get("GlobalSecondaryIndexes", []):
        if (status := index["IndexStatus"]) != "ACTIVE":
            words = f"index '{index['IndexName']}' is {status.lower()}"
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
