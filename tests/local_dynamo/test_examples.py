"""Every Python example of the README and the docs runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from quill_models import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL), 1
    )
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(
    example: str, quill_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that pytest collects, for an example that is a test; a script runs it all the same.
    file = tmp_path / "test_example.py"
    file.write_text(example)
    assert quill_settings.endpoint is not None
    monkeypatch.setenv("DYNAMODB_ENDPOINT", quill_settings.endpoint)
    monkeypatch.setenv("QUILL_TABLE", quill_settings.table)
    is_test = "\ndef test_" in example
    command = (
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)] if is_test else [str(file)]
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not is_test or "passed" in done.stdout


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


def test_demo_prints_what_the_readme_shows(quill_endpoint: str, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (shown,) = [block for block in blocks if "nothing was counted twice" in block]
    done = subprocess.run(
        [sys.executable, "-c", "from quill_models.command import main; main()", "demo"],
        cwd=tmp_path,
        env={**os.environ, "DYNAMODB_ENDPOINT": quill_endpoint},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    # Which server it was and what the table was called differs from run to run.
    lines = [_timeless(line) for line in shown.splitlines()[1:] if line != "…"]
    printed = [_timeless(line) for line in done.stdout.splitlines()]
    assert [line for line in lines if line not in printed] == []
    assert len(lines) > 30


def _timeless(line: str) -> str:
    return re.sub(r"quill-demo-[0-9a-f]+", "quill-demo", line)
