"""Put the metrics that were stored before into the list of their day (M3).

Writers that know the list go first; see ``docs/migrations.md``.

Stands on its own: it uses no model, so that it stays what it was when the models have moved on. So
it has the rules of its keys itself, as they are described in ``docs/data-model.md``.
"""

from __future__ import annotations

import re
import time
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quill_models.migrations import Step

DESCRIPTION = "list metrics by day"

SETTINGS = {"pk": {"S": "QUILL"}, "sk": {"S": "SETTINGS"}}
DEFAULT_SHARDS = 4
SORT_KEY_BYTES = 1024
# The highest character of so many bytes in UTF-8.
HIGHEST = ("", "\x7f", "\u07ff", "\uffff")


def up(step: Step) -> None:
    """Bring it about. May be run again: who is in the list already is left alone."""
    settings = step.request("get_item", Key=SETTINGS, ConsistentRead=True).get("Item", {})
    # Should they grow while it walks: readers ask the old shards as well.
    shards = shards_of(settings, time.time())
    step.backfill(lambda item: attributes(item, shards), kind="metric")


def shards_of(settings: dict[str, Any], now: float) -> int:
    """Over how many shards writers spread their items at a time, in seconds since 1970."""
    if "next_from" in settings and now >= int(settings["next_from"]["N"]):
        return int(settings["next_shards"]["N"])
    return int(settings["shards"]["N"]) if "shards" in settings else DEFAULT_SHARDS


def attributes(item: dict[str, Any], shards: int) -> dict[str, Any]:
    """What to set of an item."""
    if item["kind"]["S"] != "metric" or "gsi3pk" in item:
        return {}
    scope, name, grain, start = (
        item[field]["S"] for field in ("scope", "name", "grain", "bucket_start")
    )
    identity = compose(item["pk"]["S"], item["sk"]["S"])
    shard = zlib.crc32(identity.encode()) % shards
    return {
        "gsi3pk": {"S": compose("METRIC_DAY", start[: len("2026-11-22")], f"{shard:03d}")},
        "gsi3sk": {"S": cut(compose("METRIC", start, scope, name, grain))},
    }


def compose(*components: str) -> str:
    """The components of a key, escaped and joined."""
    return "#".join(
        re.sub(r"[\x00-%]", lambda match: f"%{ord(match[0]):02X}", component)
        for component in components
    )


def cut(key: str) -> str:
    """A sort key of an index, cut to what DynamoDB allows; it keeps its place in the order."""
    encoded = key.encode()
    if len(encoded) <= SORT_KEY_BYTES:
        return key
    kept = encoded[:SORT_KEY_BYTES].decode(errors="ignore")
    return kept + HIGHEST[SORT_KEY_BYTES - len(kept.encode())]
