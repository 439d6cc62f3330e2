"""The call: items in, a folder of files out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from quill_models import hubspot
from quill_models.export.commit import Folder, file_of, opened
from quill_models.export.inputs import (
    DEFAULT_SEGMENTS,
    Days,
    ExportInput,
    ReportProgress,
    counted,
    days_of,
    scan_of,
)
from quill_models.export.manifest import File, described_table, files_in
from quill_models.export.s3_export import S3Export
from quill_models.export.spill import Spill
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
    """What an export wrote.

    Attributes:
        folder: where it is.
        rows: how many rows of each table this export wrote.
        files: how many files it wrote.
        removed: how many files that are out of date it removed.
        manifest: what ``manifest.json`` says now, of all that is in the folder.
        assumed_sources: whose webhook events were read because neither the folder nor the caller
            named a source. Those of all others are missing.
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

    Without ``since`` it scans the table: a read unit for each 8 KB, whatever is exported of it.
    With it only those days are read, and all agents; ``quill help power-bi`` says what that
    costs. What was exported before of the same days and kinds is replaced, all at once; other days
    and kinds stay.

    Args:
        quill: the table.
        out: the folder. It is made if need be.
        format: ``parquet``, ``csv`` or ``jsonl``. Everything in a folder has the same one.
        kinds: of the items, such as ``metric``; by default all.
        since: the first UTC day.
        until: the day after the last one; by default today is the last one.
        sources: of the webhook events, besides those that the folder knows; by default
            ``hubspot``. A scan finds them all.
        segments: how many parts of the table a scan reads at the same time, from 1 to 32.
        read_units: the most read units that a scan takes in a second; by default as many as come.
            A table in use is to keep some for its own work.
        report: is called with the progress of the reading.

    Raises:
        ExportFailed: the folder cannot be written, another process exports into it, or what is in
            it does not go together with this. What was there is whole.
        InvalidValue: a value is not allowed, the days of a kind cannot be read by themselves, or
            an item cannot be a row.
        QuillError: the table stopped answering.
    """
    if since is None and until is not None:
        raise InvalidValue("until is given without since; give the first day, too")
    if since is not None and (segments != DEFAULT_SEGMENTS or read_units is not None):
        raise InvalidValue("segments and read_units are a scan's; with since there is none")
    days, clock = None, quill.table.clock
    if since is not None:
        today = clock().date()
        # The last day that a date can be has no day after it.
        days = Days(since, until or min(today, date.max - _DAY) + _DAY)
    given = {sources} if isinstance(sources, str) else set(sources)
    export = _Export(Path(out), choice(Format, format, "format"), _tables_of(kinds), days, clock)

    def source(before: Mapping[str, Any]) -> ExportInput:
        if days is None:
            return scan_of(
                quill.table, export.tables, report, segments=segments, read_units=read_units
            )
        known = {*given, *before.get("sources", ())} or {hubspot.SOURCE}
        found = days_of(quill, export.tables, days, known, report)
        is_guess = _EVENTS.kind in export.tables and not (given or files_in(before, _EVENTS))
        return replace(found, assumed_sources=found.sources if is_guess else ())

    with Operation("export", quill.table) as begun:
        return begun.run(export.run, source)


def export_from_s3(
    folder: str | Path,
    out: str | Path,
    *,
    format: Format | str = Format.PARQUET,  # noqa: A002 -- as the option of the command
    kinds: Iterable[str] | None = None,
    report: ReportProgress = lambda _: None,
    clock: Clock = system_clock,
) -> Exported:
    """Export what DynamoDB exported to S3 as files for Power BI. No request, no read units.

    Args:
        folder: what ``aws s3 sync`` copied: an export in ``DYNAMODB_JSON``, or the folder above.
        out: as `export_files`.
        format: as `export_files`.
        kinds: as `export_files`.
        report: as `export_files`.
        clock: gives the time of the export.

    Raises:
        InvalidExport: the export is not whole, or of another kind.
        ExportFailed, InvalidValue: as `export_files`.
    """
    export = _Export(Path(out), choice(Format, format, "format"), _tables_of(kinds), None, clock)
    found = S3Export.found_in(Path(folder))
    items = counted(found.items(), found.count, report)
    return export.run(lambda _: ExportInput(items, found.described))


@dataclass
class _Export:
    """One export, whatever it reads from."""

    out: Path
    format: Format
    tables: dict[str, StarTable]
    days: Days | None
    clock: Clock

    def __post_init__(self) -> None:
        # Before anything is read: the package that it needs may not be installed.
        self.write = writer(self.format)
        self.is_of_everything = self.days is None and len(self.tables) == len(TABLES)

    def run(self, source_of: Callable[[Mapping[str, Any]], ExportInput]) -> Exported:
        """Read, write, and put in place."""
        started = time_text(self.clock())
        with _failures_named(self.out), opened(self.out) as folder:
            before = folder.manifest
            self._check(folder, before)
            source = source_of(before or {})
            spill = Spill(folder.staging)
            with closing(source.items):
                for item in source.items:
                    # Items of others may have a kind of any type.
                    table = self.tables.get(item.get("kind", {}).get("S", ""))
                    if table is not None:
                        spill.add(table, item)
            written = _WrittenFiles(folder, self.format, self.write, started)
            for table, day, batches in spill.days(source.latest):
                written.add(table, day, batches)
            tables, removed = self._with_those_before(folder, before, written)
            sources = written.sources
            if self.days is not None or WebhookEvent.KIND not in self.tables:
                # Those whose events may be in files that stay.
                sources = sources.union((before or {}).get("sources", ()), source.sources)
            manifest = {
                "schema_version": SCHEMA_VERSION,
                "format": self.format.value,
                "exported_at": started,
                "quill_models": metadata.version("quill-models"),
                "from": source.described,
                "kinds": [*self.tables],
                "range": self.days and {name: f"{day}" for name, day in vars(self.days).items()},
                "sources": sorted(sources),
                "tables": tables,
            }
            names = [file.file for each in written.files.values() for file in each]
            folder.put_in_place(manifest, names, removed)
        rows = {
            table.name: sum(file.rows for file in written.files[table.name])
            for table in self.tables.values()
        }
        return Exported(self.out, rows, len(names), len(removed), manifest, source.assumed_sources)

    def _check(self, folder: Folder, before: Mapping[str, Any] | None) -> None:
        """Refuse what would not go together with the rest that stays in the folder."""
        if self.is_of_everything:
            return
        if before is None:
            fits = not any(folder.files(table) for table in TABLES)
            held = "files of an export and no manifest"
        else:
            there, version = before["format"], before["schema_version"]
            fits = (there, version) == (self.format, SCHEMA_VERSION)
            held = (
                f"{there} files of schema version {version}, which do not go together with "
                f"{self.format} files of version {SCHEMA_VERSION}"
            )
        if not fits:
            raise ExportFailed(
                f"{self.out} holds {held}. Export everything once, without days and kinds, or "
                "take another folder."
            )

    def _with_those_before(
        self, folder: Folder, before: Mapping[str, Any] | None, written: _WrittenFiles
    ) -> tuple[dict[str, Any], list[str]]:
        """What the manifest will say of each table, and the files that go."""
        tables: dict[str, Any] = {}
        removed: list[str] = []
        # A manifest of another version is not understood, and only replaced as a whole.
        before = None if self.is_of_everything else before
        for table in TABLES:
            there = folder.files(table)
            out_of_date = {file for file, day in there.items() if self._replaces(table, day)}
            left = there.keys() - out_of_date
            stay = [file for file in files_in(before, table) if file.file in left]
            new = written.files[table.name]
            if table.kind in self.tables and not stay and not new:
                written.add(table, "", iter(()))
            removed += sorted(out_of_date - {file.file for file in new})
            if stay or new:
                tables[table.name] = described_table(table, stay + new)
        return tables, removed

    def _replaces(self, table: StarTable, day: str) -> bool:
        """Whether a table's file of a day, or of no day, is out of date after this export."""
        if table.kind not in self.tables:
            return False
        return self.days is None or table.partition is None or not day or day in self.days


@dataclass
class _WrittenFiles:
    """The files of each table that this export wrote, and the sources of the events in them."""

    folder: Folder
    format: Format
    write: FileWriter
    exported_at: str
    files: dict[str, list[File]] = field(
        default_factory=lambda: {table.name: [] for table in TABLES}
    )
    sources: set[str] = field(default_factory=set)

    def add(self, table: StarTable, day: str, batches: Iterator[list[Row]]) -> None:
        """Write one file; none if a day turns out to have no rows."""
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
        wrong = f"has {unknown[0]!r}" if unknown else "is empty"
        raise InvalidValue(f"kinds {wrong}; allowed are {', '.join(tables)}")
    return {kind: table for kind, table in tables.items() if kind in chosen}


@contextmanager
def _failures_named(out: Path) -> Iterator[None]:
    """Raise `ExportFailed`, which says what became of the export, for what the system refuses."""
    try:
        yield
    except OSError as error:
        if isinstance(error, QuillError):
            raise
        raise ExportFailed(
            f"The export into {out} failed: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}. What was exported before is "
            "there as it was, or is put in place by the next export. Mend the cause and export "
            "again."
        ) from error
