"""An export is killed at any moment: the one before is whole, or the next one finishes it."""

import random
import subprocess
import time
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.export import MEGABYTE, grows, measure_s3_export
from benchmarks.s3_export import lines_of_table, write_export
from quill_models.export import export_from_s3
from quill_models.export.commit import opened
from tests.local_dynamo.test_command import PROGRAM
from tests.unit.export.folders import contents


def without_manifest(out: Path) -> dict[str, str]:
    return {
        file: each
        for file, each in contents(out).items()
        if not file.startswith(".") and file != "manifest.json"
    }


@pytest.mark.soak
def test_killed_at_any_moment(tmp_path: Path, soak: bool) -> None:
    items, kills = (20_000, 60) if soak else (2_000, 6)
    write_export(tmp_path / "before", lines_of_table(items))
    # Other days, and less of them.
    write_export(tmp_path / "after", islice(lines_of_table(items * 2), 0, items, 3))
    begun = time.monotonic()
    for name in ("before", "after"):
        export_from_s3(tmp_path / name, tmp_path / f"{name} alone")
    # With half a second for Python and what it imports.
    lasts = (time.monotonic() - begun) / 2 + 0.5
    before, after = (without_manifest(tmp_path / f"{name} alone") for name in ("before", "after"))
    assert before != after
    chance = random.Random(4)  # noqa: S311
    cut_off = 0
    out = tmp_path / "out"
    for _ in range(kills):
        export_from_s3(tmp_path / "before", out)
        assert without_manifest(out) == before
        running = subprocess.Popen(
            [*PROGRAM, "export", "--out", out, "--from-s3-export", tmp_path / "after"],
            stdout=subprocess.DEVNULL,
        )
        try:
            running.wait(chance.uniform(0.3, 1.3 * lasts))
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        cut_off += running.returncode != 0
        journal = (out / ".export-journal.json").exists()
        if not journal:
            assert without_manifest(out) in (before, after)
        # What the next export begins with.
        with opened(out):
            pass
        assert without_manifest(out) in ((after,) if journal else (before, after))
    assert cut_off
    # And it goes on from there.
    export_from_s3(tmp_path / "after", out)
    assert without_manifest(out) == after
    assert sorted(path.name for path in out.glob(".*")) == [".export-lock"]


@pytest.mark.soak
def test_time_for_an_item_and_memory_do_not_grow(soak: bool) -> None:
    sizes = (100_000, 1_000_000) if soak else (5_000, 25_000)
    runs = [measure_s3_export(items, "parquet") for items in sizes]
    assert max(run.peak for run in runs) < 200 * MEGABYTE
    # At the small size it is the imports that take the time, and buffers are not full.
    assert not soak or not grows(runs)
    assert runs[1].per_item < 1.1 * runs[0].per_item
