"""A metric: one number for one scope, name and bucket of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from quill_models.models import key_schema
from quill_models.models.attributes import (
    Choice,
    Document,
    FilledDocument,
    Instant,
    Number,
    OptionalInstant,
    OptionalText,
    Text,
    empty,
    field,
)
from quill_models.models.base import QuillModel
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["Grain", "Metric", "check_bucket", "check_scope"]


class Grain(StrEnum):
    """The length of a bucket. Weeks begin on Monday; all buckets begin in UTC."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def floor(self, instant: datetime) -> datetime:
        """Return the start of the bucket of an ``instant``, an aware UTC time."""
        hour = instant.replace(minute=0, second=0, microsecond=0)
        if self is Grain.HOUR:
            return hour
        day = hour.replace(hour=0)
        if self is Grain.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Grain.MONTH else day


def check_scope(scope: str) -> None:
    """Raise `InvalidValue` for an invalid scope."""
    kind, colon, identity = scope.partition(":")
    if scope != "global" and not (kind in {"agent", "team"} and colon and identity):
        raise InvalidValue(f"scope must be agent:<id>, team:<name> or global, got '{scope}'")


def check_bucket(grain: Grain, bucket_start: datetime) -> None:
    """Raise `InvalidValue` for a time that is not the start of a bucket."""
    start = grain.floor(bucket_start)
    if start != bucket_start:
        raise InvalidValue(
            f"bucket_start must be the start of a bucket of one {grain.value}, got "
            f"{bucket_start.isoformat()}. Its bucket starts at {start.isoformat()}."
        )


class Metric(QuillModel):
    """The value of one bucket.

    Attributes:
        scope: ``agent:<id>``, ``team:<name>`` or ``global``.
        name: Name of the metric, such as ``calls``.
        grain: ``hour``, ``day``, ``week`` or ``month``.
        bucket_start: Exact start of the bucket.
        value: A number of up to 38 digits.
        unit: Unit of the value, such as ``seconds``.
        dimensions: Further description of the value, any JSON.
        computed_at: When the source computed the value. Older writes are ``stale``.
    """

    KIND = "metric"
    IDENTITY = ("scope", "name", "grain", "bucket_start")
    SHOWN = ("value", "unit")

    scope: Text = field(Text())
    name: Text = field(Text())
    grain: Choice[Grain] = field(Choice(Grain))
    bucket_start: Instant = field(Instant(), partition=True)
    value: Number = field(Number())
    unit: OptionalText = field(Text(), default=None)
    dimensions: FilledDocument = field(Document(), default_factory=empty)
    computed_at: OptionalInstant = field(Instant(), default=None, version=True)

    def validate(self) -> None:
        """See `QuillModel.validate`."""
        check_scope(self.scope)
        check_bucket(self.grain, self.bucket_start)

    def key(self) -> Key:
        """See `QuillModel.key`."""
        return key_schema.metric(self.scope, self.name, self.grain, self.bucket_start)

    def lists(self, shards: int) -> dict[str, tuple[str, str]]:
        """See `QuillModel.lists`."""
        shard = key_schema.shard(self.key(), shards)
        bucket = key_schema.metrics_of_bucket(self.name, self.grain, self.bucket_start, shard)
        day = key_schema.metrics_of_day(self.bucket_start.date(), shard)
        order = key_schema.metric_order(self.bucket_start, self.scope, self.name, self.grain)
        return {"gsi1": (bucket, key_schema.scope_order(self.scope)), "gsi3": (day, order)}
