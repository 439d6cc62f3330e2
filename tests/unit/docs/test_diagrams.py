"""The diagrams of the documentation."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def diagrams() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "diagrams.py"))


def test_diagrams_committed_files_equal_generated_ones(diagrams: dict[str, Any]) -> None:
    for diagram in diagrams["DIAGRAMS"]:
        ET.fromstring(diagram.svg())  # noqa: S314 -- a file of this repository
        assert (DOCS / "_static" / f"{diagram.name}.svg").read_text() == diagram.svg()


def test_performance_chart_committed_file_is_what_the_script_generates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    script = runpy.run_path(str(DOCS / "performance_chart.py"))
    document = json.loads((DOCS / "performance.json").read_text())
    assert (DOCS / "_static" / "performance.svg").read_text() == script["chart"](document)


@pytest.mark.parametrize(
    ("name", "page", "absent"),
    [("EVENT", "event-queue", "no event"), ("JOB_RUN", "leases", "no run")],
)
def test_diagram_arrows_equal_rows_of_the_table(
    diagrams: dict[str, Any], name: str, page: str, absent: str
) -> None:
    diagram = diagrams[name]
    states = {box.lines[0] for box in diagram.boxes}
    text = (DOCS / "explanation" / f"{page}.md").read_text()
    rows = re.findall(r"^\| (.*) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    expected = set()
    for before, _, after in rows:
        froms = states & set(re.findall(r"`(\w+)`", before)) or (
            {absent} if before.startswith(absent) else set()
        )
        tos = states & set(re.findall(r"`(\w+)`", after))
        expected |= {(each, then) for each in froms for then in tos}
    assert {(arrow.before, arrow.after) for arrow in diagram.arrows} == expected
