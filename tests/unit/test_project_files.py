"""The files beside the code match it."""

from __future__ import annotations

import dataclasses
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import quill_models
from quill_models.settings import Backend, Settings

ROOT = Path(__file__).parents[2]
settings_table = runpy.run_path(str(ROOT / "docs" / "settings_table.py"))


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
        return found


def test_compose_file_runs_the_service_of_the_brief_with_a_pinned_tag() -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][
        "dynamodb-local"
    ]
    image, tag = service["image"].split(":")
    assert image == "amazon/dynamodb-local"
    assert re.fullmatch(r"\d+\.\d+\.\d+", tag)
    assert {"-sharedDb", "-dbPath", "/data"} <= set(service["command"].split())
    assert service["ports"] == ["8000:8000"]
    assert service["volumes"] == ["./docker/dynamodb:/data"]
    assert service["user"] == "root"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_env_example_is_read_and_has_the_defaults() -> None:
    assert Settings.load(ROOT / ".env.example", environ={}) == Settings()


class RecordingEnviron(dict[str, str]):
    """An environment that records which names are read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)


def test_settings_docs_list_every_variable_read() -> None:
    environ = RecordingEnviron()
    Settings.load(env_file=None, environ=environ)
    documented = {name for each in settings_table["settings"]() for name in each.variables}
    assert documented == environ.names
    # AWS and Java document these two.
    example = (ROOT / ".env.example").read_text()
    for name in documented - {"AWS_DEFAULT_REGION", "JAVA_HOME"}:
        assert name in example


def test_settings_docs_list_every_field_in_order() -> None:
    documented = [each.field for each in settings_table["settings"]()]
    assert documented == [each.name for each in dataclasses.fields(Settings)]


def test_settings_docs_defaults_are_the_real_defaults() -> None:
    given = {
        each.variables[0]: literal[1]
        for each in settings_table["settings"]()
        if (literal := re.match("`([^`]+)`", each.default))
    }
    assert len(given) >= 8
    # Without it, the default depends on the backend.
    assert given.pop("QUILL_PROTECT_TABLE") == "false"
    assert Settings.load(None, environ=given) == Settings()
    assert not Settings().protected
    assert Settings(backend=Backend.AWS).protected


def test_settings_page_table_matches_the_settings_class() -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert settings_table["generated"]() in text, "run python docs/settings_table.py"


def test_constraints_pin_every_dependency_without_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    pinned = {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins}
    needed = [*project()["dependencies"]]
    for extra in project()["optional-dependencies"].values():
        needed += extra
    names = {re.split(r"[^A-Za-z0-9._-]", need)[0].lower() for need in needed}
    assert names - pinned == {"quill-models"}


def test_version_is_that_of_the_package() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", quill_models.__version__)


def test_changelog_has_unreleased_changes() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("picture.py", "explanation/data-model.md"),
        ("star_picture.py", "reference/export-files.md"),
    ],
)
def test_generated_pictures_match_the_package(script: str, name: str) -> None:
    picture = runpy.run_path(str(ROOT / "docs" / script))
    page = (ROOT / "docs" / name).read_text()
    assert picture["updated"](page) == page
    assert picture["generated"]() in page


def test_docs_relative_links_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert len(pages) >= 20
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
