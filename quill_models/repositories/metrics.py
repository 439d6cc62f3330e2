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

    Lists go from ``since`` (inclusive) to ``until`` (exclusive), aware times, either of which may
    be left out; ``newest_first`` reverses them.
    """

    MODEL = Metric
    OPERATIONS = "metrics"

    @operation
    def add(self, increment: Increment) -> WriteResult[Increment]:
        """Add to a bucket, once for each event, however often it is called and by whomever.

        One transaction of two actions: the increment is remembered, under its event and bucket,
        with the addition. Two write units for each, and one for each of the bucket's two lists.

        Returns:
            ``created``, or ``duplicate`` where the event was counted in this bucket before; then
            ``item`` is what was added that time, whatever the amount now.

        Raises:
            RequestRejected: the sum has more than 38 digits.
        """
        return send(self._table, AddOnce(self._table, increment))

    @operation
    def add_many(self, increments: Iterable[Increment]) -> list[WriteResult[Increment]]:
        """As `add` for each, in input order.

        Up to 99 increments are in one transaction, and those of one bucket cost one addition in
        it. Transactions on one bucket wait for each other: sort what comes by bucket, or give all
        at once, rather than send from many processes.

        Raises:
            PartialWriteError: the table stopped answering.
        """
        return list_many(self._table, AddOnce, increments)

    def iter_add_many(self, increments: Iterable[Increment]) -> Iterator[WriteResult[Increment]]:
        """As `add_many`, with the results as they come and memory flat."""
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
        """M1: one metric of one scope by time. One strongly consistent request a page.

        Raises:
            InvalidValue: a naive time, or there is no such grain.
        """
        return self._list(
            "series",
            key_schema.metric_series(scope, name, choice(Grain, grain, "grain")),
            between=key_schema.buckets_between(since, until),
            newest_first=newest_first,
        )

    def across(self, name: str, grain: Grain | str, bucket_start: datetime) -> Query[Metric]:
        """M2: every scope's value in one bucket, by scope. One request for each shard.

        Args:
            name: of the metric.
            grain: of the bucket.
            bucket_start: where the bucket begins, exactly; see `Grain.floor`.

        Raises:
            InvalidValue: a naive time, or there is no such grain.
        """
        grain = choice(Grain, grain, "grain")
        return self._list(
            "across",
            lambda shard: key_schema.metrics_of_bucket(name, grain, bucket_start, shard),
            index="gsi1",
        )

    def list_by_day(self, day: date, *, newest_first: bool = False) -> Query[Metric]:
        """M3: all metrics whose bucket starts on one UTC day, by start, then by identity.

        Of every scope, name and grain. One request for each shard.

        Raises:
            InvalidValue: ``day`` is no date, or a time.
        """
        day = utc_day(day)
        return self._list(
            "list_by_day",
            lambda shard: key_schema.metrics_of_day(day, shard),
            index="gsi3",
            newest_first=newest_first,
        )
