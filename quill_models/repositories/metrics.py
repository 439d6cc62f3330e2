"""Metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from quill_models.models import Grain, Increment, Metric, key_schema
from quill_models.reads.query import Query
from quill_models.repositories.add_once import AddOnce
from quill_models.repositories.repository import Puts
from quill_models.telemetry.operations import operation
from quill_models.values.clock import utc_day
from quill_models.values.conversion import choice
from quill_models.writes.bulk import iter_many, list_many
from quill_models.writes.driver import send
from quill_models.writes.results import WriteResult

__all__ = ["Metrics"]


class Metrics(Puts[Metric]):
    """The metrics of the table.

    Lists cover ``since`` (inclusive) to ``until`` (exclusive), aware times, both optional.
    ``newest_first`` reverses the order.
    """

    MODEL = Metric
    OPERATIONS = "metrics"

    @operation
    def add(self, increment: Increment) -> WriteResult[Increment]:
        """Add to a bucket once for each event, however often any process repeats the call.

        Returns:
            ``created``, or ``duplicate`` if the event was counted in this bucket before. Then
            ``item`` is the increment of that time, whatever the amount is now.

        Raises:
            RequestRejected: The sum has more than 38 digits.

        Cost:
            One transaction of two actions, the increment under its event and the addition. Two
            write units for each, and one for each of the bucket's two lists.
        """
        return send(self._table, AddOnce(self._table, increment))

    @operation
    def add_many(self, increments: Iterable[Increment]) -> list[WriteResult[Increment]]:
        """Add each increment, as `add` does, in input order.

        Transactions on one bucket wait for each other. So sort increments by bucket, or pass all
        in one call, rather than from many processes.

        Raises:
            PartialWriteError: The table stopped responding.

        Cost:
            One transaction for up to 99 increments; those of one bucket share one addition.
        """
        return list_many(self._table, AddOnce, increments)

    def iter_add_many(self, increments: Iterable[Increment]) -> Iterator[WriteResult[Increment]]:
        """Add ``increments`` with the requests of `add_many`, and yield the results."""
        return self._followed("iter_add_many", iter_many(self._table, AddOnce, increments))

    def series(
        self,
        scope: str,
        name: str,
        grain: Grain | str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        newest_first: bool = False,
    ) -> Query[Metric]:
        """List one metric of one scope by time (M1). Cost: one consistent query a page.

        Raises:
            InvalidValue: A time is naive, or the grain does not exist.
        """
        return self._list(
            "series",
            key_schema.metric_series(scope, name, choice(Grain, grain, "grain")),
            between=key_schema.buckets_between(since, until),
            newest_first=newest_first,
        )

    def across(self, name: str, grain: Grain | str, bucket_start: datetime) -> Query[Metric]:
        """List the value of every scope in one bucket (M2). Cost: one query for each shard.

        Args:
            name: Name of the metric.
            grain: Grain of the bucket.
            bucket_start: Exact start of the bucket; see `Grain.floor`.

        Raises:
            InvalidValue: A time is naive, or the grain does not exist.
        """
        grain = choice(Grain, grain, "grain")
        return self._list(
            "across",
            lambda shard: key_schema.metrics_of_bucket(name, grain, bucket_start, shard),
            index="gsi1",
        )

    def list_by_day(self, day: date, *, newest_first: bool = False) -> Query[Metric]:
        """List all metrics whose bucket starts on one UTC day, by start and identity (M3).

        Raises:
            InvalidValue: ``day`` is not a date, or is a datetime.

        Cost:
            One query for each shard.
        """
        day = utc_day(day)
        return self._list(
            "list_by_day",
            lambda shard: key_schema.metrics_of_day(day, shard),
            index="gsi3",
            newest_first=newest_first,
        )
