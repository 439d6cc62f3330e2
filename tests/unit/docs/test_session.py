"""A page that is not true fails, and says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import read_page
from tests.docs.session import Session


def run(folder: Path, *lines: str, **environ: str) -> list[str]:
    return Session(folder, environ).run(read_page("\n".join(lines), "page.md"), "page.md")


def test_wrong_output_fails_and_the_page_goes_on(tmp_path: Path) -> None:
    wrong = run(tmp_path, "```console", "$ echo 1", "2", "$ echo a; echo b", "a", "```")
    assert wrong == [
        "page.md:2: $ echo 1\n--- shown\n+++ printed\n@@ -1 +1 @@\n-2\n+1",
        "page.md:4: $ echo a; echo b\n--- shown\n+++ printed\n@@ -1 +1,2 @@\n a\n+b",
    ]


def test_failing_command_fails_and_ends_the_page(tmp_path: Path) -> None:
    wrong = run(tmp_path, "```console", "$ echo why; exit 4", "$ touch after", "```")
    assert wrong == ["page.md:2: $ echo why; exit 4\nexit status 4, not 0\nwhy"]
    assert not (tmp_path / "session" / "after").exists()


def test_command_that_shall_fail_and_does_not_fails(tmp_path: Path) -> None:
    wrong = run(tmp_path, "<!-- exits: 1 -->", "```console", "$ true", "```")
    assert wrong == ["page.md:3: $ true\nexit status 0, not 1\n"]


def test_failing_script_fails_with_the_pages_line_numbers(tmp_path: Path) -> None:
    (wrong,) = run(tmp_path, "", "```python", "x = 1", "assert x == 2", "```")
    assert wrong.startswith("page.md:3: $ python -W error line_3.py\nexit status 1, not 0\n")
    assert 'line_3.py", line 4' in wrong


def test_warning_in_a_script_fails(tmp_path: Path) -> None:
    (wrong,) = run(tmp_path, "```python", "import warnings", "warnings.warn('old')", "```")
    assert "UserWarning: old" in wrong


def test_example_that_is_a_test_is_run_by_pytest(tmp_path: Path) -> None:
    (wrong,) = run(tmp_path, "```python", "def test_sum() -> None:", "    assert 1 + 1 == 3", "```")
    assert "1 failed" in wrong


def test_settings_of_the_machine_are_not_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILL_TABLE", "somebody-elses")
    monkeypatch.setenv("AWS_PROFILE", "live")
    command = '$ echo "[$QUILL_TABLE$AWS_PROFILE]"'
    assert run(tmp_path, "```console", command, "[]", "```") == []


def test_server_that_a_command_leaves_does_not_hold_the_page_up(tmp_path: Path) -> None:
    assert run(tmp_path, "```console", "$ sleep 2 & echo started", "started", "```") == []
