"""The commands and scripts of every page succeed and print the output of the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from quill_models import Settings
from tests.docs.page import Command, PageError, Script, Step, read_page
from tests.docs.session import Session

ROOT = Path(__file__).parents[2]
PAGES = [
    str(page.relative_to(ROOT))
    for page in (
        ROOT / "README.md",
        *ROOT.glob("CONTRIBUTING.md"),
        *sorted((ROOT / "docs").rglob("*.md")),
    )
]


# xdist distributes tests by the text before `::`, so pages run in parallel.
@pytest.mark.parametrize("name", PAGES, ids=lambda name: f"{name}::session")
def test_page_steps_give_the_shown_output(
    name: str, quill_settings: Settings, tmp_path: Path
) -> None:
    try:
        steps = _steps(name)
    except PageError as error:
        pytest.fail(str(error), pytrace=False)
    assert quill_settings.endpoint is not None
    environ = {"DYNAMODB_ENDPOINT": quill_settings.endpoint, "QUILL_TABLE": quill_settings.table}
    differences = Session(tmp_path, environ).run(steps, name)
    if differences:
        pytest.fail("\n\n".join(differences), pytrace=False)


def test_pages_found_have_scripts_and_outputs() -> None:
    steps = [
        step
        for name in PAGES
        for step in read_page((ROOT / name).read_text(encoding="utf-8"), name)
    ]
    assert {"README.md", "docs/performance.md"} <= set(PAGES)
    assert sum(isinstance(step, Script) for step in steps) >= 10
    assert sum(isinstance(step, Command) and step.shown is not None for step in steps) >= 5


def _steps(name: str) -> list[Step]:
    return read_page((ROOT / name).read_text(encoding="utf-8"), name)
