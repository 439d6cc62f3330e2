"""The call: items in, a folder of files out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from quill_models import hubspot
from quill_models.export.commit import Folder, file_of, opened
from quill_models.export.inputs import (
    DEFAULT_SEGMENTS,
    Days,
    Progress,
    Source,
    counted,
    days_of,
    scan_of,
)
from quill_models.export.manifest import File, files_in, manifest_of
from quill_models.export.s3_export import S3Export
from quill_models.export.spill import Spill
from quill_models.export.writers import Format, Write, writer
from quill_models.models import WebhookEvent
from quill_models.models.star_schema import SCHEMA_VERSION, TABLES, Row, StarTable
from quill_models.quill import Quill
from quill_models.telemetry.operations import Operation
from quill_models.values.clock import Clock, system_clock
from quill_models.values.conversion import choice
from quill_models.values.errors import ExportFailed, InvalidValue, QuillError
from quill_models.values.keys import time_text

__all__ = ["Exported", "export_files", "export_from_s3"]

Tell = Callable[[Progress], object]

_DAY = timedelta(days=1)


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
    report: Tell = lambda _: None,
) -> Exported:
    """Export the table, or some of its days, as files for Power BI.

    Without ``since`` it scans the table: a read unit for each 8 KB, whatever is exported of it.
    With it only those days are read, and all agents; ``docs/how-to/power-bi.md`` says what that
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
        report: hears how far the reading is.

    Raises:
        ExportFailed: the folder cannot be written, another process exports into it, or what is in
            it does not go together with this. What was there is whole.
        InvalidValue: a value is not allowed, or an item cannot be a row.
        QuillError: the table stopped answering.
    """
    if since is None and until is not None:
        raise InvalidValue("until is given without since; give the first day, too")
    if since is not None and (segments != DEFAULT_SEGMENTS or read_units is not None):
        raise InvalidValue("segments and read_units are a scan's; with since there is none")
    days = None
    if since is not None:
        today = quill.table.clock().date()
        # The last day that a date can be has no day after it.
        days = Days(since, until or min(today, date.max - _DAY) + _DAY)
    given = {sources} if isinstance(sources, str) else set(sources)
    export = _Export(out, format, kinds, days, quill.table.clock)

    def source(folder: Folder) -> Source:
        if days is None:
            return scan_of(
                quill.table, export.kinds, report, segments=segments, read_units=read_units
            )
        known = {*given, *((folder.manifest or {}).get("sources", ()))} or {hubspot.SOURCE}
        found = days_of(quill, export.kinds, days, known, report)
        return replace(found, is_guess=not given and not _has_events(folder.manifest))

    with Operation("export", quill.table) as begun:
        return begun.run(export.run, source)


def export_from_s3(
    folder: str | Path,
    out: str | Path,
    *,
    format: Format | str = Format.PARQUET,  # noqa: A002 -- as the option of the command
    kinds: Iterable[str] | None = None,
    report: Tell = lambda _: None,
    clock: Clock = system_clock,
) -> Exported:
    """Export what DynamoDB exported to S3 as files for Power BI. No request, no read units.

    Args:
        folder: what ``aws s3 sync`` copied: an export in ``DYNAMODB_JSON``, or the folder above.
        out: as `export_files`.
        format: as `export_files`.
        kinds: as `export_files`.
        report: as `export_files`.
        clock: tells when it was exported.

    Raises:
        InvalidExport: the export is not whole, or of another kind.
        ExportFailed, InvalidValue: as `export_files`.
    """
    export = _Export(out, format, kinds, None, clock)
    found = S3Export.found_in(Path(folder))

    def source(_: Folder) -> Source:
        return Source(counted(found.items(), found.count, report), found.described)

    return export.run(source)


class _Export:
    """One export, whatever it reads from."""

    def __init__(
        self,
        out: str | Path,
        file_format: Format | str,
        kinds: Iterable[str] | None,
        days: Days | None,
        clock: Clock,
    ) -> None:
        self._out = Path(out)
        self._format = choice(Format, file_format, "format")
        self._tables = _tables_of(kinds)
        self._days = days
        self._clock = clock
        # Before anything is read: what it needs may not be installed.
        self._write: Write = writer(self._format)

    @property
    def kinds(self) -> Collection[str]:
        """The kinds of its items."""
        return self._tables.keys()

    @property
    def _is_of_everything(self) -> bool:
        return self._days is None and len(self._tables) == len(TABLES)

    def run(self, source_of: Callable[[Folder], Source]) -> Exported:
        """Read, write, and put in place."""
        started = time_text(self._clock())
        with _told(self._out), opened(self._out) as folder:
            before = folder.manifest
            self._check(folder, before)
            source = source_of(folder)
            spill = Spill(folder.spill)
            with closing(source.items):
                for item in source.items:
                    # Items of others may have a kind of any type.
                    table = self._tables.get(item.get("kind", {}).get("S", ""))
                    if table is not None:
                        spill.add(table, item)
            written = _Written(folder, self._format, self._write, started)
            for table, day, batches in spill.days(source.latest):
                written.add(table, day, batches)
            files, removed = self._with_those_before(folder, before, written)
            manifest = manifest_of(
                files,
                file_format=self._format,
                exported_at=started,
                described=source.described,
                kinds=self.kinds,
                days=self._days,
                sources=written.sources | self._sources_before(before, source),
            )
            folder.put_in_place(manifest, written.names, removed)
        rows = {
            table.name: sum(file.rows for file in written.files[table.name])
            for table in self._tables.values()
        }
        is_guess = source.is_guess and WebhookEvent.KIND in self._tables
        assumed = source.sources if is_guess else ()
        return Exported(self._out, rows, len(written.names), len(removed), manifest, assumed)

    def _check(self, folder: Folder, before: dict[str, Any] | None) -> None:
        """Refuse what would not go together with the rest that stays in the folder."""
        if self._is_of_everything:
            return
        if before is None:
            if any(folder.files(table) for table in TABLES):
                raise ExportFailed(
                    f"{self._out} holds files of an export and no manifest. Export everything "
                    "once, without days and kinds, or take another folder."
                )
            return
        there = (before["format"], before["schema_version"])
        if there != (self._format, SCHEMA_VERSION):
            raise ExportFailed(
                f"{self._out} holds {there[0]} files of schema version {there[1]}, which do not go "
                f"together with {self._format} files of version {SCHEMA_VERSION}. Export "
                "everything once, without days and kinds, or take another folder."
            )

    def _with_those_before(
        self, folder: Folder, before: dict[str, Any] | None, written: _Written
    ) -> tuple[dict[str, list[File]], list[str]]:
        """The files of each table as they will be, and those that go."""
        files: dict[str, list[File]] = {}
        removed: list[str] = []
        for table in TABLES:
            there = folder.files(table)
            # A manifest of another version is not understood, and only replaced as a whole.
            stay = [
                file
                for file in files_in(None if self._is_of_everything else before, table)
                if file.file in there and not self._replaces(table, file.day)
            ]
            if table.kind in self._tables:
                if not stay and not written.files[table.name]:
                    written.add(table, "", iter(()))
                new = {file.file for file in written.files[table.name]}
                removed += [
                    file
                    for file, day in there.items()
                    if file not in new and self._replaces(table, day)
                ]
            stay += written.files[table.name]
            if stay:
                files[table.name] = stay
        return files, removed

    def _replaces(self, table: StarTable, day: str) -> bool:
        """Whether a table's file of a day, or of no day, is out of date after this export."""
        if table.kind not in self._tables:
            return False
        return self._days is None or table.partition is None or not day or day in self._days

    def _sources_before(self, before: dict[str, Any] | None, source: Source) -> set[str]:
        """The sources of events that this export did not look for anew."""
        if self._days is None and WebhookEvent.KIND in self._tables:
            return set()
        return {*(before or {}).get("sources", ()), *source.sources}


class _Written:
    """The files that this export wrote so far.

    Attributes:
        files: of each table.
        sources: of the webhook events in them.
    """

    def __init__(self, folder: Folder, file_format: Format, write: Write, exported_at: str) -> None:
        self._folder = folder
        self._format = file_format
        self._write = write
        self._exported_at = exported_at
        self.files: dict[str, list[File]] = {table.name: [] for table in TABLES}
        self.sources: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Of all files."""
        return [file.file for files in self.files.values() for file in files]

    def add(self, table: StarTable, day: str, batches: Iterator[list[Row]]) -> None:
        """Write one file; none where a day turns out to have no rows."""
        rows = 0
        source = table.place("source") if table.kind == WebhookEvent.KIND else None

        def seen() -> Iterator[list[Row]]:
            nonlocal rows
            for batch in batches:
                rows += len(batch)
                if source is not None:
                    self.sources.update(str(row[source]) for row in batch)
                yield batch

        name = file_of(table, day, self._format)
        path = self._folder.staged(name)
        self._write(path, table, seen())
        if day and not rows:
            path.unlink()
            return
        self.files[table.name].append(File(name, day, rows, path.stat().st_size, self._exported_at))


def _has_events(manifest: dict[str, Any] | None) -> bool:
    """Whether webhook events were exported before, even if there were none."""
    return any(files_in(manifest, table) for table in TABLES if table.kind == WebhookEvent.KIND)


def _tables_of(kinds: Iterable[str] | None) -> dict[str, StarTable]:
    tables = {table.kind: table for table in TABLES}
    if kinds is None:
        return tables
    chosen = {kinds} if isinstance(kinds, str) else set(kinds)
    unknown = sorted(chosen - tables.keys())
    if unknown or not chosen:
        raise InvalidValue(
            f"kinds has {unknown[0]!r}; allowed are {', '.join(tables)}"
            if unknown
            else f"kinds is empty; allowed are {', '.join(tables)}"
        )
    return {kind: table for kind, table in tables.items() if kind in chosen}


@contextmanager
def _told(out: Path) -> Iterator[None]:
    """Tell of what the operating system refuses, and what became of the export."""
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
