"""`quill export`: the table as files for Power BI."""

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

_WHOLE = "Interrupted. What was in the folder before is whole; run the same command again."


class _Kind(click.Choice[str]):
    """Takes a kind with hyphens, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(str(value).replace("-", "_"), param, ctx)


@click.command()
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that Power BI reads. It is made if need be.",
)
@click.option(
    "--format",
    type=click.Choice([each.value for each in Format]),
    default=Format.PARQUET.value,
    show_default=True,
    help="Of the files; all in a folder have the same.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=_Kind([each.kind for each in TABLES]),
    help="Only this kind; may be given several times.",
)
@click.option("--since", type=day, help="From this UTC day on; without it the whole table.")
@click.option("--until", type=day, help="Before this UTC day; by default today is the last one.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    help="Also the webhook events of this source; may be given several times. With --since only, "
    "for sources that are not in the folder yet; hubspot where it has none.",
)
@click.option(
    "--segments",
    type=click.IntRange(1, 32),
    default=DEFAULT_SEGMENTS,
    show_default=True,
    help="How many parts of the whole table are read at the same time.",
)
@click.option(
    "--read-units",
    metavar="N",
    type=click.FloatRange(0, min_open=True),
    help="Take at most so many read units a second from the table; by default as many as come.",
)
@click.option(
    "--from-s3-export",
    "s3_export",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read DynamoDB's own export to S3 from this folder, and not the table.",
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
    """Export the table for Power BI: a star schema, one file a day.

    With --since only those days are read and replaced. What is in the folder stays whole until
    the new files are put in its place; if that was cut off, the next export finishes it. For a
    large table let DynamoDB export to S3 and read that: docs/how-to/power-bi.md says how.

    \b
    Examples:
      quill export --out powerbi
      quill export --out powerbi --since 2026-11-20
      quill export --out powerbi --since 2026-11-20 --until 2026-11-22 --kind metric
      quill export --out powerbi --from-s3-export s3/AWSDynamoDB/01795341600000-a1b2c3d4
    """  # noqa: D301 -- click's mark for "keep these lines"
    if until is not None and (since is None or until <= since):
        raise click.UsageError("--until needs an earlier --since.")
    if options["sources"] and since is None:
        raise click.UsageError("--source goes with --since; without it all sources are exported.")
    if s3_export is not None and since is not None:
        raise click.UsageError("Give --from-s3-export or --since, not both.")
    by_scan = (options["segments"], options["read_units"])
    if by_scan != (DEFAULT_SEGMENTS, None) and (since or s3_export):
        raise click.UsageError("--segments and --read-units are for reading the whole table.")
    with interruptible(_WHOLE), work_bar("export") as update:

        def progress(read: Progress) -> None:
            of = "" if read.total is None else f" of about {read.total:,}"
            update(completed=read.items, total=read.total, told=f"{read.items:,}{of} items")

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
    report({"out": str(done.folder), **about}, *_shown(done))
    if done.assumed_sources:
        click.echo(
            f"Webhook events of {', '.join(done.assumed_sources)} only: the folder knows no other "
            "source. Name others once with --source, or export once without --since.",
            err=True,
        )


def _shown(done: Exported) -> tuple[RenderableType, ...]:
    rows = []
    for name, content in done.manifest["tables"].items():
        days = [content["first_day"], content["last_day"]]
        span = " to ".join(dict.fromkeys(each for each in days if each))
        written, held = (f"{number:,}" for number in (done.rows.get(name, 0), content["rows"]))
        rows.append((name, written, held, len(content["files"]), span))
    columns = ("table", "rows written", "rows in all", "files", "days")
    files = f"{counted(done.files, 'file')} written, {done.removed} out of date removed"
    return table(columns, rows), f"{done.folder}: {files}."
