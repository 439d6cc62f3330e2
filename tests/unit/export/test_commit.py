"""The commit of an export, interrupted after each of its steps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quill_models.errors import ExportFailed
from quill_models.export.commit import open_folder
from quill_models.models import QuillModel
from tests.unit.examples import NOON, agent, metric

from .folders import contents, exported, files_in
from .test_exporting import DAY, everything

JOURNAL = ".export-journal.json"


class Killed(BaseException):
    """Ends an export like SIGKILL: the package does not catch it."""


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Raise `Killed` instead of a change of the folder, after a number of changes."""
    done = 0

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            if done == after:
                raise Killed
            done += 1
            return change(*arguments, **named)

        return changed

    for name in ("replace", "unlink", "mkdir", "open"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)


def later() -> list[QuillModel]:
    """Compared with `everything`: one day more, one less, one with other content."""
    return [metric(value=99), metric(bucket_start=NOON.replace(hour=0) + 2 * DAY)]


def test_commit_interrupted_anywhere_keeps_old_or_finishes_new(tmp_path: Path) -> None:
    s3, steps = tmp_path / "s3", 0
    exported(s3, tmp_path / "old", everything())
    exported(s3, tmp_path / "new", later())
    old, new = contents(tmp_path / "old"), contents(tmp_path / "new")
    for each in (old, new):
        # The manifest contains the time of the export.
        del each["manifest.json"]
    kept = finished = 0
    while True:
        out = tmp_path / f"out-{steps}"
        exported(s3, out, everything())
        with pytest.MonkeyPatch.context() as patched:
            interrupt(patched, steps)
            try:
                exported(s3, out, later())
            except Killed:
                pass
            else:
                break
        journal = (out / JOURNAL).exists()
        if not journal:
            found = {file: each for file, each in contents(out).items() if not file.startswith(".")}
            del found["manifest.json"]
            assert found in (old, new), steps
            kept += found == old
        # Every export starts with this.
        with open_folder(out):
            pass
        found = contents(out)
        del found["manifest.json"]
        assert found in ((new,) if journal else (old, new)), steps
        finished += journal
        assert not (out / JOURNAL).exists()
        assert not list(out.glob(".export-staging-*"))
        steps += 7 if steps < 40 else 1
    assert kept > 3
    assert finished > 3


def test_commit_finished_leaves_only_lock(tmp_path: Path) -> None:
    exported(tmp_path / "s3", tmp_path / "out", everything())
    assert not [file for file in files_in(tmp_path / "out") if file.startswith(".")]
    assert [path.name for path in (tmp_path / "out").glob(".*")] == [".export-lock"]


@pytest.mark.parametrize(
    "journal",
    [
        "",
        "[]",
        "{}",
        '{"staging": ".export-staging-1", "files": [], "removed": ["../foreign"]}',
        '{"staging": ".export-staging-1", "files": ["../foreign"], "removed": []}',
        '{"staging": ".export-staging-1", "files": [], "removed": ["fact_metric/../../foreign"]}',
        '{"staging": "..", "files": ["fact_metric/empty.csv"], "removed": []}',
        '{"staging": ".export-staging-1", "files": [7], "removed": []}',
    ],
)
def test_finish_invalid_journal_changes_nothing(journal: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tmp_path / "s3", out, [agent()])
    (tmp_path / "foreign").write_text("")
    (out / ".export-journal.json").write_text(journal)
    before = contents(tmp_path)
    with pytest.raises(
        ExportFailed, match=r"is not a valid journal(?s:.*)Delete it and export everything"
    ):
        exported(tmp_path / "s3", out, [])
    assert contents(tmp_path).items() >= before.items()
    (out / ".export-journal.json").unlink()
    exported(tmp_path / "s3", out, [])
