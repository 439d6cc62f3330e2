"""Metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from quill_models.dynamodb.table import Table
from quill_models.models import Grain, Increment, Metric, key_schema
from quill_models.reads.query import Query
from quill_models.repositories.add_once import AddOnce
from quill_models.repositories.put_latest import PutLatest
from quill_models.telemetry.operations import observed
from quill_models.values.checks import choice
from quill_models.values.clock import utc_day
from quill_models.writes.bulk import iter_many, list_many
from quill_models.writes.driver import Prefer, send
from quill_models.writes.results import WriteResult

__all__ = ["Metrics"]


@observed("metrics")
class Metrics:
    """The metrics of the table.

    Of ``*_many``, ``prefer`` says what to save where it cannot be both: ``speed`` or ``cost``, see
    `Prefer`.
    Lists go from ``since`` (inclusive) to ``until`` (exclusive), aware times, either of which may
    be left out; ``newest_first`` turns them round.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, metric: Metric) -> WriteResult[Metric]:
        """Set the value of a metric's bucket. One request, or two where it changes.

        Returns:
            ``created``, ``updated``, ``unchanged``, or ``stale`` (older ``computed_at`` than
            what is stored).
        """
        return send(self._table, PutLatest(self._table, metric))

    def put_many(
        self, metrics: Iterable[Metric], *, prefer: Prefer | str = Prefer.SPEED
    ) -> list[WriteResult[Metric]]:
        """As `put` for each, in input order.

        For each hundred one transaction where all are new or all known, two for a mixture, at
        twice the write units; see `Prefer`.

        Raises:
            PartialWriteError: the table stopped answering.
        """
        return list_many(self._table, PutLatest, metrics, prefer)

    def iter_put_many(
        self, metrics: Iterable[Metric], *, prefer: Prefer | str = Prefer.SPEED
    ) -> Iterator[WriteResult[Metric]]:
        """As `put_many`, with the results as they come and memory flat."""
        return iter_many(self._table, PutLatest, metrics, prefer)

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
        return iter_many(self._table, AddOnce, increments)

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
        return Query(
            self._table,
            Metric,
            [key_schema.metric_series(scope, name, choice(Grain, grain, "grain"))],
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
        return Query(
            self._table,
            Metric,
            lambda: [
                key_schema.metrics_of_bucket(name, grain, bucket_start, shard)
                for shard in self._table.shards_to_read
            ],
            index="gsi1",
        )

    def list_by_day(self, day: date, *, newest_first: bool = False) -> Query[Metric]:
        """M3: all metrics whose bucket starts on one UTC day, by start, then by identity.

        Of every scope, name and grain. One request for each shard.

        Raises:
            InvalidValue: ``day`` is no date, or a time.
        """
        day = utc_day(day)
        return Query(
            self._table,
            Metric,
            lambda: [key_schema.metrics_of_day(day, shard) for shard in self._table.shards_to_read],
            index="gsi3",
            newest_first=newest_first,
        )
