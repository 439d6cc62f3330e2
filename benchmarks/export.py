"""Time per item and peak memory of exports: ``python -m benchmarks.export --items 100000 1000000``.

For each size a DynamoDB export to S3 is made up and exported by a process of its own, which tells
how long it took and how much memory it had at most. With ``--scan`` a table of DynamoDB Local is
filled with the same items and scanned. Exit status 1 where an item of the largest size takes more
than a tenth longer than one of the smallest, or where memory grows by as much.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peak_memory import peak_memory
from benchmarks.s3_export import lines_of_table, write_export
from benchmarks.writes.bare_http import put_blindly
from quill_models import Settings, connect
from quill_models.export import Format, export_files, export_from_s3
from quill_models.local import embedded

MEGABYTE = 1024 * 1024
_TOLERATED = 1.1


@dataclass(frozen=True)
class Measured:
    """One export.

    Attributes:
        way: from what.
        items: how many items were read.
        seconds: how long it took.
        cpu: how much CPU time, all threads.
        peak: the most memory that the process had, in bytes.
    """

    way: str
    items: int
    seconds: float
    cpu: float
    peak: int

    @property
    def per_item(self) -> float:
        """Microseconds of CPU time for an item: other processes do not make it longer."""
        return self.cpu / self.items * 1e6


def measured(way: str, items: int, call: str) -> Measured:
    """Run a call of this module in a process of its own."""
    code = f"from benchmarks import export; export.{call}"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)  # noqa: S603 -- this module
    return Measured(way, items, **json.loads(done.stdout))


def from_folder(folder: str, out: str, file_format: str) -> None:
    """In the process that is measured: export a folder."""
    _print_cost(lambda: export_from_s3(folder, out, format=file_format))


def from_table(endpoint: str, table: str, out: str, file_format: str) -> None:
    """In the process that is measured: export a table by a scan."""
    with connect(Settings(endpoint=endpoint, table=table)) as quill:
        _print_cost(lambda: export_files(quill, out, format=file_format))


def _print_cost(export: Callable[[], object]) -> None:
    begun, cpu = time.monotonic(), time.process_time()
    export()
    print(
        json.dumps(
            {
                "seconds": time.monotonic() - begun,
                "cpu": time.process_time() - cpu,
                "peak": peak_memory(),
            }
        )
    )


def of_s3(items: int, file_format: str) -> Measured:
    """Of a made-up export to S3."""
    with scratch() as folder:
        write_export(folder / "s3", lines_of_table(items))
        call = f"from_folder({str(folder / 's3')!r}, {str(folder / 'out')!r}, {file_format!r})"
        return measured(f"S3 export to {file_format}", items, call)


def of_table(endpoint: str, items: int, file_format: str) -> Measured:
    """Of a table that is filled for it."""
    with (
        scratch() as folder,
        connect(Settings(endpoint=endpoint, table=f"export-{items}")) as quill,
    ):
        quill.schema.apply(stream=False)
        put_blindly(quill.settings, (json.loads(line)["Item"] for line in lines_of_table(items)))
        call = (
            f"from_table({endpoint!r}, {quill.settings.table!r}, {str(folder)!r}, {file_format!r})"
        )
        found = measured(f"scan to {file_format}", items, call)
        quill.schema.delete_table()
        return found


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that goes again."""
    folder = Path(tempfile.mkdtemp(prefix="quill-export-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def shown(runs: Sequence[Measured]) -> str:
    """As a table of a page."""
    lines = [
        "| from | items | seconds | µs of CPU an item | peak memory, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {run.way} | {run.items:,} | {run.seconds:,.1f} | {run.per_item:.1f} "
        f"| {run.peak / MEGABYTE:.0f} |"
        for run in runs
    ]
    return "\n".join(lines)


def grows(runs: Sequence[Measured]) -> bool:
    """Whether time for an item or memory grows with the number of items."""
    least, most = min(runs, key=lambda run: run.items), max(runs, key=lambda run: run.items)
    return most.per_item > _TOLERATED * least.per_item or most.peak > _TOLERATED * least.peak


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--scan", type=int, nargs="*", default=[], help="sizes of tables to scan")
    parser.add_argument(
        "--format", nargs="+", default=["parquet"], choices=[each.value for each in Format]
    )
    given = parser.parse_args(arguments)
    groups = [[of_s3(items, each) for items in given.items] for each in given.format]
    if given.scan:
        settings = Settings.load()
        with embedded(local_home=settings.local_home, java_home=settings.java_home) as server:
            groups += [
                [of_table(server.endpoint, items, each) for items in given.scan]
                for each in given.format
            ]
    print(shown([run for group in groups for run in group]))
    return int(any(grows(group) for group in groups))


if __name__ == "__main__":
    sys.exit(main())
