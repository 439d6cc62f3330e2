"""Conversion of times and documents for clients that support text and numbers only."""

from __future__ import annotations

import json
from datetime import datetime

from benchmarks.writes.events import Row

__all__ = ["flat"]


def flat(row: Row) -> Row:
    """Convert times and the payload of a row to text, and the expiry to epoch seconds."""
    plain = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
    plain["payload"] = json.dumps(row["payload"])
    if "ttl" in row:
        plain["ttl"] = int(row["ttl"].timestamp())
    return plain
