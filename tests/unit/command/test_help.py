"""The pages of `quill help`, in a checkout and in a wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.command.conftest import Run

pytestmark = pytest.mark.usefixtures("isolated")

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
SECTIONS = ("how-to", "explanation", "reference")
PAGES = {
    path.stem: path
    for section in SECTIONS
    for path in (DOCS / section).glob("*.md")
    if path.stem != "index"
}


def test_help_without_topic_lists_topics_with_titles(run: Run) -> None:
    status, out, err = run("help")
    assert (status, err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  "))
    assert rows == {
        name: path.read_text().partition("\n")[0].removeprefix("# ") for name, path in PAGES.items()
    }


@pytest.mark.parametrize("topic", PAGES)
def test_help_topic_prints_page_without_comments(run: Run, topic: str) -> None:
    status, out, err = run("help", topic)
    assert (status, err) == (0, "")
    assert "<!--" not in out
    page = PAGES[topic].read_text()
    assert out.splitlines()[0] == page.splitlines()[0]
    assert out.splitlines()[-1] == page.splitlines()[-1]


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("powerbi", "Closest topics: power-bi"),
        ("zzzz", "List the topics with quill help."),
        ("../index", "is not a topic"),
    ],
)
def test_help_unknown_topic_exits_with_2(run: Run, topic: str, hint: str) -> None:
    status, out, err = run("help", topic)
    assert (status, out) == (2, "")
    assert f"Error: {topic} is not a topic. " in err
    assert hint in err


def test_help_topic_works_in_wheel(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    site = tmp_path / "site"
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert {path.stem for path in site.glob("quill_models/docs/*/*.md")} - {"index"} == set(PAGES)
    program = f"import sys; sys.path.insert(0, {str(site)!r}); "
    program += "from quill_models.command import main; main()"
    shown = subprocess.run(
        [sys.executable, "-I", "-c", program, "help", "glossary"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert shown.stdout.decode() == PAGES["glossary"].read_text()
