"""``manifest.json``: the files of an export with their row counts and origin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quill_models.models.star_schema import SCHEMA_VERSION, TABLES, StarTable

__all__ = ["File", "files_in", "parse_manifest", "table_entry"]


@dataclass(frozen=True)
class File:
    """One file in the folder. ``day`` is empty if the file holds a complete table."""

    file: str
    day: str
    rows: int
    bytes: int
    exported_at: str


def parse_manifest(text: bytes) -> dict[str, Any]:
    """Parse a manifest of any schema version.

    Raises:
        ValueError: The text is not a manifest.
    """
    manifest: dict[str, Any] = json.loads(text)
    try:
        version, _, sources = (manifest[each] for each in ("schema_version", "format", "sources"))
        if not isinstance(sources, list):
            raise TypeError("sources")  # noqa: TRY301
        if version == SCHEMA_VERSION:
            for table in TABLES:
                files_in(manifest, table)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("schema_version, format, sources or tables is invalid") from error
    return manifest


def files_in(manifest: Mapping[str, Any] | None, table: StarTable) -> list[File]:
    """Return the files of a table from a manifest of this schema version."""
    tables = manifest["tables"] if manifest else {}
    return [File(**each) for each in tables.get(table.name, {}).get("files", ())]


def table_entry(table: StarTable, files: Sequence[File]) -> dict[str, Any]:
    """Return the manifest's entry of a table and its files."""
    files = sorted(files, key=lambda each: each.file)
    days = [each.day for each in files if each.day]
    return {
        "rows": sum(each.rows for each in files),
        "first_day": min(days, default=None),
        "last_day": max(days, default=None),
        # CSV and JSON Lines have no types, and an empty JSON Lines file has no columns.
        "columns": [{"name": each.name, "type": each.type.value} for each in table.columns],
        "files": [asdict(each) for each in files],
    }
