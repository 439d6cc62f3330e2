"""Killed exports, and the time and memory of large ones."""

import random
import subprocess
import time
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.export import MEGABYTE, grows, measure_s3_export
from benchmarks.s3_export import lines_of_table, write_export
from quill_models.export import export_from_s3
from quill_models.export.commit import open_folder
from tests.local_dynamo.test_command import PROGRAM
from tests.unit.export.folders import contents


def without_manifest(out: Path) -> dict[str, str]:
    return {
        file: each
        for file, each in contents(out).items()
        if not file.startswith(".") and file != "manifest.json"
    }


@pytest.mark.soak
def test_export_killed_anytime_keeps_old_or_finishes_new(tmp_path: Path, soak: bool) -> None:
    items, kills = (20_000, 60) if soak else (2_000, 6)
    write_export(tmp_path / "before", lines_of_table(items))
    # Fewer items, on other days.
    write_export(tmp_path / "after", islice(lines_of_table(items * 2), 0, items, 3))
    started = time.monotonic()
    for name in ("before", "after"):
        export_from_s3(tmp_path / name, tmp_path / f"{name} alone")
    # Half a second is for Python's start and imports.
    duration = (time.monotonic() - started) / 2 + 0.5
    before, after = (without_manifest(tmp_path / f"{name} alone") for name in ("before", "after"))
    assert before != after
    rng = random.Random(4)  # noqa: S311
    interrupted = 0
    out = tmp_path / "out"
    for _ in range(kills):
        export_from_s3(tmp_path / "before", out)
        assert without_manifest(out) == before
        running = subprocess.Popen(
            [*PROGRAM, "export", "--out", out, "--from-s3-export", tmp_path / "after"],
            stdout=subprocess.DEVNULL,
        )
        try:
            running.wait(rng.uniform(0.3, 1.3 * duration))
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        interrupted += running.returncode != 0
        journal = (out / ".export-journal.json").exists()
        if not journal:
            assert without_manifest(out) in (before, after)
        # Every export starts with this.
        with open_folder(out):
            pass
        assert without_manifest(out) in ((after,) if journal else (before, after))
    assert interrupted
    # The folder can still be exported into.
    export_from_s3(tmp_path / "after", out)
    assert without_manifest(out) == after
    assert sorted(path.name for path in out.glob(".*")) == [".export-lock"]


@pytest.mark.soak
def test_export_more_items_need_no_more_time_each_or_memory(soak: bool) -> None:
    sizes = (100_000, 1_000_000) if soak else (5_000, 25_000)
    runs = [measure_s3_export(items, "parquet") for items in sizes]
    assert max(run.peak for run in runs) < 200 * MEGABYTE
    # At the small size, imports dominate the time and buffers are not full.
    assert not soak or not grows(runs)
    assert runs[1].per_item < 1.1 * runs[0].per_item
