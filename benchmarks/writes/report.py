"""Reports: tables for a terminal or in Markdown, and all runs as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from statistics import fmean, median

from benchmarks.writes.contenders import CONTENDERS
from benchmarks.writes.machine import Machine
from benchmarks.writes.measure import Run
from benchmarks.writes.results import BLIND, PEER, Results, shown

__all__ = ["as_json", "as_markdown", "as_text"]

_BEFORE = {
    "new": "All new: no event is stored before.",
    "duplicate": "All duplicate: each event is stored before.",
    "half": "Half and half: every other event is stored before.",
}
_COLUMNS = (
    "",
    "events/s",
    "to PynamoDB x 8",
    "to batch_write",
    "CPU ms",
    "server ms",
    "requests",
    "write units",
    "in indexes",
    "read units",
)


def as_json(results: Results, machine: Machine, command: str) -> str:
    """Format every run and the targets as JSON."""
    return json.dumps(
        {
            "date": _today(),
            "command": command,
            "machine": asdict(machine),
            "runs": [{**asdict(run), "rate": run.rate} for run in results.runs],
            "targets": [
                {**asdict(target), "reached": target.reached} for target in results.targets()
            ],
        },
        indent=2,
    )


def as_text(results: Results, machine: Machine) -> str:
    """Format the results for a terminal."""
    lines = [machine.text(), "", _legend(results), ""]
    for name in _inputs(results):
        rows = [_COLUMNS, *_rows(results, name)]
        widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
        lines.append(_BEFORE[name])
        for label, *cells in rows:
            padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            lines.append("  ".join([label.ljust(widths[0]), *padded]))
        lines.append("")
    return "\n".join([*lines, *_targets(results)])


def as_markdown(results: Results, machine: Machine, command: str) -> str:
    """Format the results as the section of ``docs/performance.md``."""
    lines = [f"Measured on {_today()} by `{command}`.", "", machine.text(), "", _legend(results)]
    for name in _inputs(results):
        lines += ["", f"**{_BEFORE[name].replace(':', ':**', 1)}", ""]
        lines.append(f"| {' | '.join(_COLUMNS)} |")
        lines.append(f"|---{'|---:' * (len(_COLUMNS) - 1)}|")
        lines += [f"| {' | '.join(row)} |" for row in _rows(results, name)]
    return "\n".join([*lines, "", *(f"- {line}" for line in _targets(results))])


def _today() -> str:
    return date.today().isoformat()  # noqa: DTZ011 -- the local date


def _legend(results: Results) -> str:
    rounds = max(run.round for run in results.runs)
    size = fmean(run.item_bytes for run in results.runs) / 1024
    return (
        f"{results.runs[0].events:,} events of {size:.2f} KB a run; median (minimum-maximum) of "
        f"{rounds} round{'s' * (rounds > 1)}. CPU, requests and units are per event."
    )


def _inputs(results: Results) -> list[str]:
    return list(dict.fromkeys(run.input for run in results.runs))


def _rows(results: Results, name: str) -> Iterator[Sequence[str]]:
    for contender in CONTENDERS.values():
        runs = results.of(contender.name, name)
        if not runs:
            continue
        yield (
            contender.label,
            shown(results.spread(contender.name, name, lambda run: run.rate), 0),
            shown(results.ratio(contender.name, PEER, name), 2),
            shown(results.ratio(contender.name, BLIND, name), 2),
            _per_event(runs, lambda run: run.cpu_seconds, ".2f", scale=1000),
            _per_event(runs, lambda run: run.server_seconds, ".2f", scale=1000),
            _per_event(runs, lambda run: run.requests, ".3f"),
            _per_event(runs, lambda run: run.write_units, ".2f"),
            _per_event(runs, lambda run: run.index_units, ".2f"),
            _per_event(runs, lambda run: run.read_units, ".2f"),
        )


def _per_event(
    runs: Sequence[Run], value: Callable[[Run], float | None], form: str, scale: float = 1
) -> str:
    """Format the median per event, or "-" if it is unknown."""
    known = [found * scale / run.events for run in runs if (found := value(run)) is not None]
    return format(median(known), form) if known else "-"


def _targets(results: Results) -> Iterator[str]:
    words = {True: "yes", False: "no", None: "not measured"}
    for target in results.targets():
        ratio = "" if target.ratio is None else f", {shown(target.ratio, 2)}"
        yield f"{target.text}: {words[target.reached]}{ratio}"
