"""The export of items to a folder of files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from quill_models import hubspot
from quill_models.export.commit import Folder, file_of, open_folder
from quill_models.export.external_sort import ExternalSort
from quill_models.export.inputs import (
    DEFAULT_SEGMENTS,
    Days,
    ExportInput,
    ReportProgress,
    days_input,
    reported,
    scan_input,
)
from quill_models.export.manifest import File, files_in, table_entry
from quill_models.export.s3_export import S3Export
from quill_models.export.writers import FileWriter, Format, writer
from quill_models.models import WebhookEvent
from quill_models.models.star_schema import SCHEMA_VERSION, TABLES, Row, StarTable
from quill_models.quill import Quill
from quill_models.telemetry.operations import Operation
from quill_models.values.clock import Clock, system_clock
from quill_models.values.conversion import choice
from quill_models.values.errors import ExportFailed, InvalidValue, QuillError
from quill_models.values.keys import time_text

__all__ = ["Exported", "export_files", "export_from_s3"]

_DAY = timedelta(days=1)
_EVENTS = next(table for table in TABLES if table.kind == WebhookEvent.KIND)


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        folder: Folder of the files.
        rows: Number of rows written, by table name.
        files: Number of files written.
        removed: Number of outdated files removed.
        manifest: The new content of ``manifest.json``, which describes all files in the folder.
        assumed_sources: Sources of webhook events that were assumed because neither the folder
            nor the caller named any. Events of other sources are missing.
    """

    folder: Path
    rows: dict[str, int]
    files: int
    removed: int
    manifest: dict[str, Any]
    assumed_sources: Collection[str] = ()


def export_files(
    quill: Quill,
    out: str | Path,
    *,
    format: Format | str = Format.PARQUET,  # noqa: A002 -- as the option of the command
    kinds: Iterable[str] | None = None,
    since: date | None = None,
    until: date | None = None,
    sources: Iterable[str] = (),
    segments: int = DEFAULT_SEGMENTS,
    read_units: float | None = None,
    report: ReportProgress = lambda _: None,
) -> Exported:
    """Export the table, or some of its days, as files for Power BI.

    Previous files of the same days and kinds are replaced, all at once. Other files are kept.

    Args:
        quill: The connection to the table.
        out: Folder of the files, created if it is missing.
        format: ``parquet``, ``csv`` or ``jsonl``. A folder holds one format only.
        kinds: Kinds of items, such as ``metric``. Default: all.
        since: First UTC day. Default: scan the complete table.
        until: UTC day after the last one. Default: tomorrow.
        sources: With ``since``, sources of webhook events, in addition to those in the folder.
            Default for a folder without sources: ``hubspot``.
        segments: Number of segments of a parallel scan, 1 to 32.
        read_units: Maximum read units per second of a scan. Default: no limit. Set it if the table
            is in use.
        report: Called with the progress of reading.

    Raises:
        ExportFailed: The folder cannot be written, another process exports into it, or its files
            have another format or version. The previous export is kept.
        InvalidValue: An argument is invalid, a kind has no list by day, or an item cannot be a row.
        QuillError: The table does not respond.

    Cost:
        Without ``since``, a scan: one read unit for each 8 KB of the complete table. With
        ``since``, the queries of those days and of all agents; see ``quill help power-bi``.
    """
    if since is None and until is not None:
        raise InvalidValue("until requires since. Add the first day.")
    if since is not None and (segments != DEFAULT_SEGMENTS or read_units is not None):
        raise InvalidValue("segments and read_units apply to a scan. Omit them, or omit since.")
    days, clock = None, quill.table.clock
    if since is not None:
        today = clock().date()
        days = Days(since, until or min(today, date.max - _DAY) + _DAY)
    given = {sources} if isinstance(sources, str) else set(sources)
    export = _Export(Path(out), choice(Format, format, "format"), _tables_of(kinds), days, clock)

    def source(before: Mapping[str, Any]) -> ExportInput:
        if days is None:
            return scan_input(
                quill.table, export.tables, report, segments=segments, read_units=read_units
            )
        known = {*given, *before.get("sources", ())} or {hubspot.SOURCE}
        found = days_input(quill, export.tables, days, known, report)
        assumed = _EVENTS.kind in export.tables and not (given or files_in(before, _EVENTS))
        return replace(found, assumed_sources=found.sources if assumed else ())

    with Operation("export", quill.table) as operation:
        return operation.run(export.run, source)


def export_from_s3(
    folder: str | Path,
    out: str | Path,
    *,
    format: Format | str = Format.PARQUET,  # noqa: A002 -- as the option of the command
    kinds: Iterable[str] | None = None,
    report: ReportProgress = lambda _: None,
    clock: Clock = system_clock,
) -> Exported:
    """Convert DynamoDB's own export to S3 to files for Power BI.

    Args:
        folder: A copy of a full export in ``DYNAMODB_JSON``, or of the folder above it.
        out: See `export_files`.
        format: See `export_files`.
        kinds: See `export_files`.
        report: See `export_files`.
        clock: Returns the time of the export.

    Raises:
        InvalidExport: The export is incomplete, or of another type or format.
        ExportFailed, InvalidValue: See `export_files`.

    Cost:
        No request and no read units.
    """
    export = _Export(Path(out), choice(Format, format, "format"), _tables_of(kinds), None, clock)
    found = S3Export.found_in(Path(folder))
    items = reported(found.items(), found.count, report)
    return export.run(lambda _: ExportInput(items, found.origin))


@dataclass
class _Export:
    """One export of any input."""

    out: Path
    format: Format
    tables: dict[str, StarTable]
    days: Days | None
    clock: Clock

    def __post_init__(self) -> None:
        # Fails before anything is read if the package for Parquet is not installed.
        self.write = writer(self.format)
        self.is_complete = self.days is None and len(self.tables) == len(TABLES)

    def run(self, source_of: Callable[[Mapping[str, Any]], ExportInput]) -> Exported:
        """Read and sort the items, write the files, and commit them."""
        started = time_text(self.clock())
        with _translate_os_errors(self.out), open_folder(self.out) as folder:
            before = folder.manifest
            self._check_compatible(folder, before)
            source = source_of(before or {})
            rows_by_day = ExternalSort(folder.staging)
            with closing(source.items):
                for item in source.items:
                    # Other programs' items can have a kind of any type.
                    table = self.tables.get(item.get("kind", {}).get("S", ""))
                    if table is not None:
                        rows_by_day.add(table, item)
            written = _WrittenFiles(folder, self.format, self.write, started)
            for table, day, batches in rows_by_day.days(source.latest):
                written.add(table, day, batches)
            tables, removed = self._merge(folder, before, written)
            sources = written.sources
            if self.days is not None or WebhookEvent.KIND not in self.tables:
                # Files that are kept can contain events of these sources.
                sources = sources.union((before or {}).get("sources", ()), source.sources)
            manifest = {
                "schema_version": SCHEMA_VERSION,
                "format": self.format.value,
                "exported_at": started,
                "quill_models": metadata.version("quill-models"),
                "from": source.origin,
                "kinds": [*self.tables],
                "range": self.days and {name: f"{day}" for name, day in vars(self.days).items()},
                "sources": sorted(sources),
                "tables": tables,
            }
            names = [file.file for each in written.files.values() for file in each]
            folder.commit(manifest, names, removed)
        rows = {
            table.name: sum(file.rows for file in written.files[table.name])
            for table in self.tables.values()
        }
        return Exported(self.out, rows, len(names), len(removed), manifest, source.assumed_sources)

    def _check_compatible(self, folder: Folder, before: Mapping[str, Any] | None) -> None:
        """Raise `ExportFailed` if files that are kept have another format or version."""
        if self.is_complete:
            return
        if before is None:
            fits = not any(folder.files(table) for table in TABLES)
            content = "files of an export but no manifest"
        else:
            stored, version = before["format"], before["schema_version"]
            fits = (stored, version) == (self.format, SCHEMA_VERSION)
            content = (
                f"{stored} files of schema version {version}, expected {self.format} files of "
                f"version {SCHEMA_VERSION}"
            )
        if not fits:
            raise ExportFailed(
                f"{self.out} contains {content}. Export everything once, without days and kinds, "
                "or choose another folder."
            )

    def _merge(
        self, folder: Folder, before: Mapping[str, Any] | None, written: _WrittenFiles
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the manifest's entry of each table, and the files to remove."""
        tables: dict[str, Any] = {}
        removed: list[str] = []
        # A manifest of another version cannot be read. Only a complete export replaces it.
        before = None if self.is_complete else before
        for table in TABLES:
            stored = folder.files(table)
            outdated = {file for file, day in stored.items() if self._replaces(table, day)}
            current = stored.keys() - outdated
            kept = [file for file in files_in(before, table) if file.file in current]
            new = written.files[table.name]
            if table.kind in self.tables and not kept and not new:
                written.add(table, "", iter(()))
            removed += sorted(outdated - {file.file for file in new})
            if kept or new:
                tables[table.name] = table_entry(table, kept + new)
        return tables, removed

    def _replaces(self, table: StarTable, day: str) -> bool:
        """Return whether this export replaces a table's file of a day, or of no day."""
        if table.kind not in self.tables:
            return False
        return self.days is None or table.partition is None or not day or day in self.days


@dataclass
class _WrittenFiles:
    """The files that this export wrote by table, and the sources of the events in them."""

    folder: Folder
    format: Format
    write: FileWriter
    exported_at: str
    files: dict[str, list[File]] = field(
        default_factory=lambda: {table.name: [] for table in TABLES}
    )
    sources: set[str] = field(default_factory=set)

    def add(self, table: StarTable, day: str, batches: Iterator[list[Row]]) -> None:
        """Write one file, or none if a day has no rows."""
        rows = 0
        source = table.position("source") if table is _EVENTS else None

        def counted() -> Iterator[list[Row]]:
            nonlocal rows
            for batch in batches:
                rows += len(batch)
                if source is not None:
                    self.sources.update(str(row[source]) for row in batch)
                yield batch

        name = file_of(table, day, self.format)
        path = self.folder.staged(name)
        self.write(path, table, counted())
        if day and not rows:
            path.unlink()
            return
        self.files[table.name].append(File(name, day, rows, path.stat().st_size, self.exported_at))


def _tables_of(kinds: Iterable[str] | None) -> dict[str, StarTable]:
    tables = {table.kind: table for table in TABLES}
    if kinds is None:
        return tables
    chosen = {kinds} if isinstance(kinds, str) else set(kinds)
    unknown = sorted(chosen - tables.keys())
    if unknown or not chosen:
        got = unknown[0] if unknown else "none"
        raise InvalidValue(f"kinds must be one or more of {', '.join(tables)}, got {got}")
    return {kind: table for kind, table in tables.items() if kind in chosen}


@contextmanager
def _translate_os_errors(out: Path) -> Iterator[None]:
    """Raise `ExportFailed` for an `OSError`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, QuillError):
            raise
        raise ExportFailed(
            f"The export into {out} failed: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}. The folder is unchanged, or the "
            "next export finishes this one. Fix the cause, then export again."
        ) from error
