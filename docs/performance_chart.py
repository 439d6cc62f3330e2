"""The chart of ``performance.md``, generated from the JSON of the benchmark.

``python -m benchmarks.writes --json > docs/performance.json`` measures, and ``python
docs/performance_chart.py`` writes ``docs/_static/performance.svg``. A test compares the file with
what this module generates.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

from diagrams import FOLDER, svg

from benchmarks.writes.contenders import CONTENDERS

MEASURED = Path(__file__).parent / "performance.json"
TITLES = {"new": "All events are new", "duplicate": "All events are duplicates"}
LEFT, WIDTH, ROW = 330, 470, 24


def chart(document: dict[str, Any]) -> str:
    """Return the chart: median events a second with minimum and maximum, for two inputs."""
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in document["runs"]:
        rates[run["input"], run["contender"]].append(run["rate"])
    # Contenders that overwrite blindly, or send prepared requests, do another task.
    shown = [
        each
        for each in CONTENDERS
        if CONTENDERS[each].reports and not each.startswith("ceiling") and ("new", each) in rates
    ]
    longest = max(max(rates[name, each]) for name in TITLES for each in shown)
    parts: list[str] = []
    y = 20
    for name, title in TITLES.items():
        parts.append(f'  <text class="name left" x="20" y="{y + 14}">{title}, events/s</text>')
        y += 30
        for each in sorted(shown, key=lambda one: -median(rates[name, one])):
            values = rates[name, each]
            low, middle, high = (
                LEFT + value / longest * WIDTH
                for value in (min(values), median(values), max(values))
            )
            look = "ours" if each.startswith("quill") else "bar"
            width, label = f"{middle - LEFT:.1f}", escape(CONTENDERS[each].label)
            shown_rate = f"{median(values):,.0f}"
            parts += [
                f'  <text class="right" x="{LEFT - 10}" y="{y + 13}">{label}</text>',
                f'  <rect class="{look}" x="{LEFT}" y="{y}" width="{width}" height="17"/>',
                f'  <path class="range" d="M{low:.1f} {y + 8.5}H{high:.1f}"/>',
                f'  <text class="left" x="{high + 8:.1f}" y="{y + 13}">{shown_rate}</text>',
            ]
            y += ROW
        y += 16
    return svg(
        "Events a second by contender",
        "Bars of the median events a second of each writer, with the range of all rounds."
        f" Measured on {document['date']}.",
        (880, y),
        parts,
    )


if __name__ == "__main__":
    document = json.loads(MEASURED.read_text())
    (FOLDER / "performance.svg").write_text(chart(document))
