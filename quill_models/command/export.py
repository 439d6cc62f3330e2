"""`quill export`: files for Power BI."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType

from quill_models.command.failures import interruptible, report
from quill_models.command.lists import day
from quill_models.command.output import counted, json_option, table, work_bar
from quill_models.export import (
    DEFAULT_SEGMENTS,
    TABLES,
    Exported,
    Format,
    Progress,
    export_files,
    export_from_s3,
)
from quill_models.quill import connect

__all__ = ["export"]

_INTERRUPTED = "Interrupted. The previous files are complete. Run the same command again."


class _Kind(click.Choice[str]):
    """A choice of kinds that accepts hyphens for underscores."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(str(value).replace("-", "_"), param, ctx)


@click.command()
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that Power BI reads. Created if it does not exist.",
)
@click.option(
    "--format",
    type=click.Choice([each.value for each in Format]),
    default=Format.PARQUET.value,
    show_default=True,
    help="File format. A folder holds one format only.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=_Kind([each.kind for each in TABLES]),
    help="Export only this kind. Repeat the option for several kinds.",
)
@click.option("--since", type=day, help="First UTC day. Default: export the complete table.")
@click.option("--until", type=day, help="UTC day after the last one. Default: tomorrow.")
@click.option(
    "--source",
    "sources",
    metavar="NAME",
    multiple=True,
    help="With --since, add the webhook events of this source to those of the sources in the "
    "folder. Default for a folder without sources: hubspot. Repeat the option for several.",
)
@click.option(
    "--segments",
    metavar="NUMBER",
    type=click.IntRange(1, 32),
    default=DEFAULT_SEGMENTS,
    show_default=True,
    help="Number of segments of a parallel scan of the complete table.",
)
@click.option(
    "--read-units",
    metavar="NUMBER",
    type=click.FloatRange(0, min_open=True),
    help="Maximum number of read units per second. Default: no limit.",
)
@click.option(
    "--from-s3-export",
    "s3_export",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read a DynamoDB export to S3 from this folder instead of the table.",
)
@json_option
def export(
    *,
    out: Path,
    since: date | None,
    until: date | None,
    s3_export: Path | None,
    kinds: Sequence[str],
    **options: Any,
) -> None:
    """Export the table for Power BI: a star schema, one file per day.

    With --since, only those days are read and replaced. The folder stays unchanged until all
    new files are complete. If the move of the files is interrupted, the next export finishes
    it. For a large table, export to S3 with DynamoDB and read that export; quill help power-bi
    shows how.

    \b
    Examples:
      quill export --out powerbi
      quill export --out powerbi --since 2026-11-20
      quill export --out powerbi --since 2026-11-20 --until 2026-11-22 --kind metric
      quill export --out powerbi --from-s3-export s3/AWSDynamoDB/01795341600000-a1b2c3d4
    """  # noqa: D301 -- click's mark for "keep these lines"
    if until is not None and (since is None or until <= since):
        raise click.UsageError("--until requires an earlier --since. Add --since DAY.")
    if options["sources"] and since is None:
        raise click.UsageError("--source requires --since. Omit --source to export all sources.")
    if s3_export is not None and since is not None:
        raise click.UsageError("Give either --from-s3-export or --since.")
    by_scan = (options["segments"], options["read_units"])
    if by_scan != (DEFAULT_SEGMENTS, None) and (since or s3_export):
        raise click.UsageError("--segments and --read-units need a scan of the table. Omit them.")
    with interruptible(_INTERRUPTED), work_bar("export") as update:

        def progress(read: Progress) -> None:
            of = "" if read.total is None else f" of about {read.total:,}"
            update(completed=read.items, total=read.total, status=f"{read.items:,}{of} items")

        if s3_export is not None:
            done = export_from_s3(
                s3_export, out, format=options["format"], kinds=kinds or None, report=progress
            )
        else:
            options.update(since=since, until=until)
            with connect() as quill:
                done = export_files(quill, out, kinds=kinds or None, report=progress, **options)
    names = ("rows", "files", "removed", "manifest")
    about = {name: getattr(done, name) for name in names}
    report({"out": str(done.folder), **about}, *_output(done))
    if done.assumed_sources:
        click.echo(
            f"Exported events of {', '.join(done.assumed_sources)} only, because the folder has no "
            "sources yet. Add others with --source, or export once without --since.",
            err=True,
        )


def _output(done: Exported) -> tuple[RenderableType, ...]:
    rows = []
    for name, content in done.manifest["tables"].items():
        days = [content["first_day"], content["last_day"]]
        span = " to ".join(dict.fromkeys(each for each in days if each))
        written, stored = (f"{number:,}" for number in (done.rows.get(name, 0), content["rows"]))
        rows.append((name, written, stored, len(content["files"]), span))
    columns = ("table", "rows written", "rows stored", "files", "days")
    removed = counted(done.removed, "outdated file")
    message = f"{done.folder}: {counted(done.files, 'file')} written, {removed} removed."
    return table(columns, rows), message
