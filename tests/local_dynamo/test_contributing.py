"""The steps of CONTRIBUTING.md, done in a copy of the package, add a working entity."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.docs.page import File, read_page

ROOT = Path(__file__).parents[2]
NAME = "CONTRIBUTING.md"
PAGE = (ROOT / NAME).read_text(encoding="utf-8")
FILES = [step for step in read_page(PAGE, NAME) if isinstance(step, File)]
EDIT = ".diff"
# The checks of the original, applied to the copy.
CHECKS = ("tests/unit/test_layers.py",)


class StepError(Exception):
    """A step that cannot be followed."""


def edited(text: str, diff: str) -> str:
    """The text after the changes of a diff whose hunks have no line numbers.

    Raises:
        StepError: what a hunk shows is not there, or not only once.
    """
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE)[1:]:
        lines = [line if line.strip() else " " for line in hunk.splitlines()]
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        places = [at.start() for at in re.finditer(f"^{re.escape(before)}", text, re.MULTILINE)]
        if len(places) != 1:
            raise StepError(f"found {len(places)} times, must be once:\n{before}")
        text = text[: places[0]] + after + text[places[0] + len(before) :]
    return text


def follow(steps: Sequence[File], house: Path) -> None:
    """Write the new files and make the edits.

    Raises:
        StepError: a step that cannot be followed; says which.
    """
    for step in steps:
        target = house / step.name.removesuffix(EDIT)
        if not step.name.endswith(EDIT):
            if target.exists():
                raise StepError(f"{NAME}:{step.line}: {step.name} is there already")
            target.write_text(step.content, encoding="utf-8")
            continue
        try:
            text = edited(target.read_text(encoding="utf-8"), step.content)
        except StepError as error:
            raise StepError(f"{NAME}:{step.line}: {step.name}: {error}") from None
        target.write_text(text, encoding="utf-8")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what the steps change, and of what checks them."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "quill_models", tmp_path / "quill_models", ignore=ignore)
    for folder in ("tests", "tests/unit", "tests/local_dynamo"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    for check in CHECKS:
        shutil.copy(ROOT / check, tmp_path / check)
    return tmp_path


def checked(house: Path, endpoint: str, *tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-q", "-p", "no:cacheprovider", *tests],
        cwd=house,
        # Before the original, wherever that is installed.
        env={**os.environ, "PYTHONPATH": str(house), "DYNAMODB_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_add_an_entity_its_tests_pass(house: Path, quill_endpoint: str) -> None:
    follow(FILES, house)
    tests = [step.name for step in FILES if step.name.startswith("tests/")]
    done = checked(house, quill_endpoint, *tests, *CHECKS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tests


def test_add_an_entity_its_code_passes_the_linters(house: Path) -> None:
    follow(FILES, house)
    shutil.copy(ROOT / "pyproject.toml", house)
    changed = [step.name.removesuffix(EDIT) for step in FILES]
    for call in (["check", "--no-cache"], ["format", "--no-cache", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *call, *changed],
            cwd=house,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_add_an_entity_takes_four_steps_and_ninety_lines() -> None:
    section = PAGE[PAGE.index("## Add an entity") : PAGE.index("## Add an access pattern")]
    added = [
        line
        for step in FILES
        if step.name.startswith("quill_models/")
        for line in step.content.splitlines()
        if not step.name.endswith(EDIT) or line.startswith("+")
    ]
    assert len(re.findall(r"^\*\*\d\. ", section, re.MULTILINE)) <= 4
    assert 50 < len(added) <= 90


def test_contributing_every_named_file_exists() -> None:
    named = set(re.findall(r"`((?:quill_models|tests|docs)/[^`\s]*)`", PAGE))
    named |= {"CHANGELOG.md", ".ci/run"}
    made = {step.name for step in FILES if not step.name.endswith(EDIT)}
    assert len(named) > 40
    assert [name for name in sorted(named - made) if not (ROOT / name).exists()] == []
    assert [step.name for step in FILES if step.name.removesuffix(EDIT) not in named | made] == []


def test_contributing_links_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("shown", ["b\n", "c\n", "x\n", "a\nc\n"])
def test_edit_text_not_found_once_raises(shown: str) -> None:
    text = "a\nb\nab\nb\n"
    with pytest.raises(StepError, match="must be once"):
        edited(text, "@@\n" + "".join(f" {line}\n" for line in shown.splitlines()) + "+new\n")


def test_edit_changes_only_the_given_text() -> None:
    assert edited("a\n\nb\nab\n", "@@\n a\n\n-b\n+c\n@@\n+d\n ab\n") == "a\n\nc\nd\nab\n"
