"""Watermarks: how far a job has read a source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from quill_models.dynamodb.attribute_values import from_attribute_value
from quill_models.dynamodb.items import Condition, RawItem, new_token, raw_key
from quill_models.dynamodb.table import Table
from quill_models.models import key_schema
from quill_models.repositories.run import Run
from quill_models.telemetry.operations import operation
from quill_models.values.clock import aware_utc
from quill_models.values.conversion import exact_decimal
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key, parse_time, time_text
from quill_models.writes.actions import Put, Refusal
from quill_models.writes.driver import send
from quill_models.writes.write import Write

__all__ = ["Mark", "Watermark"]

Mark = datetime | int | Decimal | str


class Watermark:
    """The position up to which a job has read a source. It only moves forward.

    Attributes:
        job_name: Name of the job.
        source: Name of the source.
    """

    OPERATIONS = "watermark"

    def __init__(self, table: Table, job_name: str, source: str) -> None:
        self._table = table
        self.job_name = job_name
        self.source = source
        self._key = key_schema.watermark(job_name, source)

    @property
    @operation
    def value(self) -> datetime | Decimal | str | None:
        """The position, ``None`` at first. Each use costs one consistent request."""
        item = self._table.get(self._key)
        if item is None:
            return None
        value: str | Decimal = from_attribute_value(item["value"])
        return parse_time(str(value)) if item["type"]["S"] == "time" else value

    @operation
    def advance(self, to: Mark, *, run: Run) -> bool:
        """Move the watermark forward. Cost: one transaction of two actions.

        Args:
            to: The new position: a time, a number or text, of the type of the stored one.
            run: The run that moves it, which must lease its window.

        Returns:
            ``True`` if it moved, ``False`` if it was already there or further.

        Raises:
            LeaseLost: The run no longer leases its window. Nothing was written.
            InvalidValue: A time is naive, a number cannot be stored, or the type differs.
        """
        if run.job_name != self.job_name:
            raise InvalidValue(
                f"A run of job {run.job_name} cannot move the watermark of job {self.job_name}. "
                "Use the watermark of the run's own job."
            )
        kind, stored = _stored(to)
        return send(self._table, _Advance(self._table, self._key, kind, stored, run))


class _Advance(Write[bool]):
    def __init__(self, table: Table, key: Key, kind: str, stored: dict[str, Any], run: Run) -> None:
        self.token = new_token()
        self._run = run
        self._kind = kind
        item: RawItem = {
            **raw_key(key),
            "kind": {"S": "watermark"},
            "job_name": {"S": run.job_name},
            "type": {"S": kind},
            "value": stored,
            "run_id": {"S": run.run_id},
            "updated_at": {"S": time_text(table.clock())},
            "write_token": {"S": self.token},
        }
        forward = Condition(
            "attribute_not_exists(#pk) OR (#type = :type AND #value < :value)",
            {"#pk": "pk", "#type": "type", "#value": "value"},
            {":type": {"S": kind}, ":value": stored},
        )
        self.actions = [run.held(), Put(item, forward)]

    def done(self, stored: RawItem | None = None) -> bool:  # noqa: ARG002
        return True

    def refused(self, refusals: Sequence[Refusal | None]) -> bool | None:
        holder, mark = refusals
        if holder is not None:
            raise self._run.lost(holder.item)
        if mark is None or mark.item is None:
            return None
        stored_kind = mark.item["type"]["S"]
        if stored_kind != self._kind:
            raise InvalidValue(
                f"The watermark of job {self._run.job_name} is a {stored_kind}, got a {self._kind}."
            )
        return False


def _stored(mark: Mark) -> tuple[str, dict[str, Any]]:
    if isinstance(mark, datetime):
        return "time", {"S": time_text(aware_utc(mark, "the watermark"))}
    if isinstance(mark, str):
        if not mark:
            raise InvalidValue("the watermark must not be empty")
        return "text", {"S": mark}
    return "number", {"N": str(exact_decimal(mark, "the watermark"))}
