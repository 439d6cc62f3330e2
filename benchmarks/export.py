"""Time per item and peak memory of exports: ``python -m benchmarks.export --items 100000 1000000``.

For each size the benchmark generates a DynamoDB export to S3. A separate process exports it and
reports its time and its peak memory. With ``--scan`` a table of DynamoDB Local is filled with the
same items and scanned. The exit status is 1 if the time per item, or the peak memory, of the
largest size is more than 10 % above that of the smallest.
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
    """The measurement of one export.

    Attributes:
        way: Input and format of the export.
        items: Number of items read.
        seconds: Duration in seconds.
        cpu: CPU time of all threads in seconds.
        peak: Peak memory of the process in bytes.
    """

    way: str
    items: int
    seconds: float
    cpu: float
    peak: int

    @property
    def per_item(self) -> float:
        """CPU time per item in microseconds, which does not depend on other processes."""
        return self.cpu / self.items * 1e6


def measure(way: str, items: int, call: str) -> Measured:
    """Run a function of this module in a separate process, and return its measurement."""
    code = f"from benchmarks import export; export.{call}"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)  # noqa: S603 -- this module
    return Measured(way, items, **json.loads(done.stdout))


def from_folder(folder: str, out: str, file_format: str) -> None:
    """Export a folder and print the cost. Runs in the measure process."""
    _print_cost(lambda: export_from_s3(folder, out, format=file_format))


def from_table(endpoint: str, table: str, out: str, file_format: str) -> None:
    """Export a table by a scan and print the cost. Runs in the measure process."""
    with connect(Settings(endpoint=endpoint, table=table)) as quill:
        _print_cost(lambda: export_files(quill, out, format=file_format))


def _print_cost(export: Callable[[], object]) -> None:
    started, cpu = time.monotonic(), time.process_time()
    export()
    print(
        json.dumps(
            {
                "seconds": time.monotonic() - started,
                "cpu": time.process_time() - cpu,
                "peak": peak_memory(),
            }
        )
    )


def measure_s3_export(items: int, file_format: str) -> Measured:
    """Measure the export of a generated export to S3."""
    with scratch() as folder:
        write_export(folder / "s3", lines_of_table(items))
        call = f"from_folder({str(folder / 's3')!r}, {str(folder / 'out')!r}, {file_format!r})"
        return measure(f"S3 export to {file_format}", items, call)


def measure_scan(endpoint: str, items: int, file_format: str) -> Measured:
    """Fill a table and measure its export by a scan."""
    with (
        scratch() as folder,
        connect(Settings(endpoint=endpoint, table=f"export-{items}")) as quill,
    ):
        quill.schema.apply(stream=False)
        put_blindly(quill.settings, (json.loads(line)["Item"] for line in lines_of_table(items)))
        call = (
            f"from_table({endpoint!r}, {quill.settings.table!r}, {str(folder)!r}, {file_format!r})"
        )
        found = measure(f"scan to {file_format}", items, call)
        quill.schema.delete_table()
        return found


@contextmanager
def scratch() -> Iterator[Path]:
    """Create a temporary folder and delete it after the block."""
    folder = Path(tempfile.mkdtemp(prefix="quill-export-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def markdown_table(runs: Sequence[Measured]) -> str:
    """Format the measurements as a Markdown table."""
    lines = [
        "| from | items | seconds | µs of CPU per item | peak memory, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {run.way} | {run.items:,} | {run.seconds:,.1f} | {run.per_item:.1f} "
        f"| {run.peak / MEGABYTE:.0f} |"
        for run in runs
    ]
    return "\n".join(lines)


def grows(runs: Sequence[Measured]) -> bool:
    """Return whether time per item or peak memory grows with the number of items."""
    smallest, largest = min(runs, key=lambda run: run.items), max(runs, key=lambda run: run.items)
    return (
        largest.per_item > _TOLERATED * smallest.per_item
        or largest.peak > _TOLERATED * smallest.peak
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--scan", type=int, nargs="*", default=[], help="Sizes of the tables to scan."
    )
    parser.add_argument(
        "--format", nargs="+", default=["parquet"], choices=[each.value for each in Format]
    )
    given = parser.parse_args(arguments)
    groups = [[measure_s3_export(items, each) for items in given.items] for each in given.format]
    if given.scan:
        settings = Settings.load()
        with embedded(local_home=settings.local_home, java_home=settings.java_home) as server:
            groups += [
                [measure_scan(server.endpoint, items, each) for items in given.scan]
                for each in given.format
            ]
    print(markdown_table([run for group in groups for run in group]))
    return int(any(grows(group) for group in groups))


if __name__ == "__main__":
    sys.exit(main())
