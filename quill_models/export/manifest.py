"""What ``manifest.json`` says: which files there are, how many rows they have, and whence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quill_models.models.star_schema import SCHEMA_VERSION, TABLES, StarTable

__all__ = ["File", "described_table", "files_in", "parsed"]


@dataclass(frozen=True)
class File:
    """One file below the folder. Its day is empty if it is that of a whole table."""

    file: str
    day: str
    rows: int
    bytes: int
    exported_at: str


def parsed(text: bytes) -> dict[str, Any]:
    """A manifest as it was written, by whatever version.

    Raises:
        ValueError: The text is not a manifest.
    """
    manifest: dict[str, Any] = json.loads(text)
    try:
        version, _, sources = (manifest[each] for each in ("schema_version", "format", "sources"))
        if not isinstance(sources, list):
            raise TypeError("its sources are no list")  # noqa: TRY301
        if version == SCHEMA_VERSION:
            for table in TABLES:
                files_in(manifest, table)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{error!r}") from error
    return manifest


def files_in(manifest: Mapping[str, Any] | None, table: StarTable) -> list[File]:
    """The files of a table that a manifest of this schema version names."""
    tables = manifest["tables"] if manifest else {}
    return [File(**each) for each in tables.get(table.name, {}).get("files", ())]


def described_table(table: StarTable, files: Sequence[File]) -> dict[str, Any]:
    """What a manifest says of a table and its files."""
    files = sorted(files, key=lambda each: each.file)
    days = [each.day for each in files if each.day]
    return {
        "rows": sum(each.rows for each in files),
        "first_day": min(days, default=None),
        "last_day": max(days, default=None),
        # The files of some formats do not say it, and none do without rows.
        "columns": [{"name": each.name, "type": each.type.value} for each in table.columns],
        "files": [asdict(each) for each in files],
    }
