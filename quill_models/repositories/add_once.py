"""Adding to metrics, once for each event."""

from __future__ import annotations

from collections.abc import Sequence

from quill_models.dynamodb.items import TTL, WRITE_TOKEN, Condition, RawItem, new_token, raw_key
from quill_models.dynamodb.table import Table
from quill_models.models import Increment
from quill_models.values.clock import epoch_seconds
from quill_models.values.keys import time_text
from quill_models.writes.actions import Add, Put, Refusal
from quill_models.writes.results import Outcome, WriteResult
from quill_models.writes.write import Write

__all__ = ["AddOnce"]

# Attributes that an addition does not overwrite.
_KEPT = ("created_at", "dimensions")
# The key and the value are separate parts of an update.
_NOT_SET = frozenset({"pk", "sk", "value", "created_token", *_KEPT})


class AddOnce(Write[WriteResult[Increment]]):
    """Add to a bucket and store the increment in one transaction: `created` or `duplicate`."""

    fixed_keys = True

    def __init__(self, table: Table, increment: Increment) -> None:
        self.token = new_token()
        self._increment = increment
        now = table.clock()
        self._item: RawItem = {
            **raw_key(increment.key()),
            **increment.to_item(),
            "created_at": {"S": time_text(now)},
            WRITE_TOKEN: {"S": self.token},
        }
        retention = table.settings.increment_retention
        if retention is not None:
            self._item[TTL] = {"N": str(epoch_seconds(now + retention))}
        metric = increment.metric()
        metric.stamp(table, token=self.token)
        stored = metric.to_item(table.shards)
        self.actions = [
            Put(self._item, Condition.absent(now)),
            Add(
                metric.key(),
                "value",
                increment.amount,
                sets={name: value for name, value in stored.items() if name not in _NOT_SET},
                defaults={name: stored[name] for name in _KEPT},
            ),
        ]

    def done(self, stored: RawItem | None = None) -> WriteResult[Increment]:  # noqa: ARG002
        """See `Write.done`."""
        return WriteResult(Outcome.CREATED, self._increment)

    def refused(self, refusals: Sequence[Refusal | None]) -> WriteResult[Increment] | None:
        """See `Write.refused`."""
        own = refusals[0]
        if own is None or own.item is None:
            return None
        return WriteResult(Outcome.DUPLICATE, Increment.from_item(own.item))
