"""How far a backfill has come: what is saved, and gone on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quill_models.dynamodb.items import RawItem

__all__ = ["Place", "Segment"]


@dataclass(frozen=True)
class Segment:
    """One of the parts that are walked side by side.

    Attributes:
        start: the key after which the next page begins; ``None`` for the beginning.
        ended: whether there is no next page.
        seen: how many items it was walked past.
        changed: how many of them were changed.
    """

    start: RawItem | None = None
    ended: bool = False
    seen: int = 0
    changed: int = 0


class Place:
    """All segments of one walk.

    Each is replaced as a whole by the thread that walks it, so that it may be read at any time.

    Attributes:
        index: which index is walked; ``None`` for the table.
        segments: in DynamoDB's order.
    """

    def __init__(self, index: str | None, segments: Sequence[Segment]) -> None:
        self.index = index
        self.segments = list(segments)

    @classmethod
    def beginning(cls, index: str | None, segments: int) -> Place:
        """Of a walk in so many segments."""
        return cls(index, [Segment()] * segments)

    @classmethod
    def saved(cls, document: Mapping[str, Any], index: str | None, segments: int) -> Place:
        """Where to go on; the beginning, where the saved place is one of another walk."""
        place = cls(document["index"], [Segment(**each) for each in document["segments"]])
        fits = place.index == index and len(place.segments) == segments
        return place if fits else cls.beginning(index, segments)

    def to_document(self) -> dict[str, Any]:
        """As it is saved."""
        return {"index": self.index, "segments": [asdict(each) for each in self.segments]}

    @property
    def seen(self) -> int:
        """How many items were walked past."""
        return sum(each.seen for each in self.segments)

    @property
    def changed(self) -> int:
        """How many of them were changed."""
        return sum(each.changed for each in self.segments)
