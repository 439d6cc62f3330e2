"""The execution of a page and its report of differences."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import read_page
from tests.docs.session import Session


def run(folder: Path, *lines: str, **environ: str) -> list[str]:
    return Session(folder, environ).run(read_page("\n".join(lines), "page.md"), "page.md")


def test_run_wrong_output_reports_it_and_continues(tmp_path: Path) -> None:
    differences = run(tmp_path, "```console", "$ echo 1", "2", "$ echo a; echo b", "a", "```")
    assert differences == [
        "page.md:2: $ echo 1\n--- shown\n+++ printed\n@@ -1 +1 @@\n-2\n+1",
        "page.md:4: $ echo a; echo b\n--- shown\n+++ printed\n@@ -1 +1,2 @@\n a\n+b",
    ]


def test_run_failing_command_reports_it_and_stops(tmp_path: Path) -> None:
    differences = run(tmp_path, "```console", "$ echo why; exit 4", "$ touch after", "```")
    assert differences == ["page.md:2: $ echo why; exit 4\nexit status 4, not 0\nwhy"]
    assert not (tmp_path / "session" / "after").exists()


def test_run_unexpected_success_reports_the_exit_status(tmp_path: Path) -> None:
    differences = run(tmp_path, "<!-- exits: 1 -->", "```console", "$ true", "```")
    assert differences == ["page.md:3: $ true\nexit status 0, not 1\n"]


def test_run_failing_script_reports_lines_of_the_page(tmp_path: Path) -> None:
    (differences,) = run(tmp_path, "", "```python", "x = 1", "assert x == 2", "```")
    assert differences.startswith("page.md:3: $ python -W error line_3.py\nexit status 1, not 0\n")
    assert 'line_3.py", line 4' in differences


def test_run_warning_in_script_reports_it(tmp_path: Path) -> None:
    (differences,) = run(tmp_path, "```python", "import warnings", "warnings.warn('old')", "```")
    assert "UserWarning: old" in differences


def test_run_script_with_test_uses_pytest(tmp_path: Path) -> None:
    (differences,) = run(
        tmp_path, "```python", "def test_sum() -> None:", "    assert 1 + 1 == 3", "```"
    )
    assert "1 failed" in differences


def test_run_settings_of_the_machine_are_not_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILL_TABLE", "other-table")
    monkeypatch.setenv("AWS_PROFILE", "live")
    command = '$ echo "[$QUILL_TABLE$AWS_PROFILE]"'
    assert run(tmp_path, "```console", command, "[]", "```") == []


def test_run_background_process_does_not_block(tmp_path: Path) -> None:
    assert run(tmp_path, "```console", "$ sleep 2 & echo started", "started", "```") == []
