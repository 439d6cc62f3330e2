"""What ``manifest.json`` says: which files there are, how many rows they have, and whence."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from quill_models.export.inputs import Days
from quill_models.export.writers import Format
from quill_models.models.star_schema import SCHEMA_VERSION, TABLES, StarTable

__all__ = ["File", "files_in", "manifest_of", "parsed"]


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


def manifest_of(
    files: Mapping[str, Sequence[File]],
    *,
    file_format: Format,
    exported_at: str,
    described: Mapping[str, Any],
    kinds: Collection[str],
    days: Days | None,
    sources: Iterable[str],
) -> dict[str, Any]:
    """The manifest of an export, with ``files`` as all that there are now in the folder."""
    asked = None if days is None else {"since": f"{days.since}", "until": f"{days.until}"}
    return {
        "schema_version": SCHEMA_VERSION,
        "format": file_format.value,
        "exported_at": exported_at,
        "quill_models": metadata.version("quill-models"),
        "from": {**described},
        "kinds": [table.kind for table in TABLES if table.kind in kinds],
        "range": asked,
        "sources": sorted(sources),
        "tables": {
            table.name: _table(table, files[table.name]) for table in TABLES if table.name in files
        },
    }


def _table(table: StarTable, files: Sequence[File]) -> dict[str, Any]:
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
