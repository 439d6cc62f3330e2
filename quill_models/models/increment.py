"""An addition to a metric, remembered so that it is made once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from quill_models.dynamodb.items import RawItem
from quill_models.models import key_schema
from quill_models.models.metric import Grain, Metric
from quill_models.values.clock import aware_utc
from quill_models.values.conversion import choice, exact_decimal, shown
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key, parse_time, time_text

__all__ = ["Increment"]


@dataclass(frozen=True, init=False)
class Increment:
    """The amount that an event adds to one bucket of a metric.

    The event and the bucket are the identity, whatever the amount is.

    Attributes:
        scope: Scope of the metric, see `Metric.scope`.
        name: Name of the metric.
        grain: Grain of the metric, see `Metric.grain`.
        at: When the event happened, which selects the bucket.
        amount: The amount to add, up to 38 digits. Negative to subtract.
        event_key: Key of the event. It must be unique across sources, so include the source if
            several sources could have equal keys.
    """

    scope: str
    name: str
    grain: Grain
    at: datetime
    amount: Decimal
    event_key: str

    def __init__(  # noqa: PLR0917 -- the order of the public contract
        self,
        scope: str,
        name: str,
        grain: Grain | str,
        at: datetime,
        amount: Decimal | float,
        event_key: str,
    ) -> None:
        if not isinstance(event_key, str) or not event_key:
            raise InvalidValue(f"event_key must be non-empty text, got {shown(event_key)}")
        fields = {
            "scope": scope,
            "name": name,
            "grain": choice(Grain, grain, "grain"),
            "at": aware_utc(at, "at"),
            "amount": exact_decimal(amount, "amount"),
            "event_key": event_key,
        }
        for field, value in fields.items():
            object.__setattr__(self, field, value)
        # Raises for an invalid metric or key, before any request.
        self.metric()
        self.key()

    @property
    def bucket_start(self) -> datetime:
        """The start of the bucket."""
        return self.grain.floor(self.at)

    def key(self) -> Key:
        """Return the key under which the increment is stored."""
        return key_schema.increment(
            self.event_key, self.scope, self.name, self.grain, self.bucket_start
        )

    def metric(self) -> Metric:
        """Return the metric of a new bucket."""
        return Metric(
            scope=self.scope,
            name=self.name,
            grain=self.grain,
            bucket_start=self.bucket_start,
            value=self.amount,
        )

    def to_item(self) -> RawItem:
        """Return the stored attributes without the key."""
        return {
            "kind": {"S": "increment"},
            "scope": {"S": self.scope},
            "name": {"S": self.name},
            "grain": {"S": self.grain.value},
            "at": {"S": time_text(self.at)},
            "amount": {"N": str(self.amount)},
            "event_key": {"S": self.event_key},
        }

    @classmethod
    def from_item(cls, item: RawItem) -> Self:
        """Return the increment of a stored item."""
        return cls(
            scope=item["scope"]["S"],
            name=item["name"]["S"],
            grain=item["grain"]["S"],
            at=parse_time(item["at"]["S"]),
            amount=Decimal(item["amount"]["N"]),
            event_key=item["event_key"]["S"],
        )
