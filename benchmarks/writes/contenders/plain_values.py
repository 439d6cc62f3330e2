"""For clients that know text and numbers only: what their user does with times and documents."""

from __future__ import annotations

import json
from datetime import datetime

from benchmarks.writes.events import Row

__all__ = ["flat"]


def flat(row: Row) -> Row:
    """The row with times and the payload as text, and the expiry in epoch seconds."""
    plain = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
    plain["payload"] = json.dumps(row["payload"])
    if "ttl" in row:
        plain["ttl"] = int(row["ttl"].timestamp())
    return plain
