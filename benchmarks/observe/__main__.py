"""The cost of telemetry: ``python -m benchmarks.observe --before ../checkout-without-it``.

The benchmark measures the CPU time per record of some calls: without telemetry, with the log at
DEBUG, with the API of OpenTelemetry only, and with its SDK. ``--before`` adds another checkout of
the package, such as one without telemetry. The modes take turns, and each run has its own process.
The exit status is 1 if a call without telemetry takes more than 5 % longer than in that checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.writes.machine import Machine
from benchmarks.writes.results import Spread, shown

_WORK = Path(__file__).with_name("work.py")
_LABELS = {
    "before": "before",
    "off": "no telemetry",
    "otel-api": "OpenTelemetry without an SDK",
    "debug": "the log at DEBUG",
    "otel": "OpenTelemetry with its SDK",
}
_TOLERATED = 1.05

Round = dict[str, dict[str, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        prog="python -m benchmarks.observe",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--before", type=Path, help="Another checkout, for the first column.")
    parser.add_argument("--rounds", type=int, default=5, help="Number of rounds. Default: 5.")
    chosen = parser.parse_args(arguments)
    modes = [mode for mode in _LABELS if mode != "before" or chosen.before is not None]
    rounds: list[Round] = []
    for number in range(chosen.rounds):
        # Each round begins with another mode.
        rotated = [*modes[number % len(modes) :], *modes[: number % len(modes)]]
        rounds.append({mode: _run(mode, chosen.before) for mode in rotated})
    print(Machine.this("fixed responses instead of a server").text())
    base = modes[0]
    print(f"\n| µs of CPU per record | {' | '.join(_LABELS[mode] for mode in modes)} |")
    print(f"|---|{'---:|' * len(modes)}")
    is_slower = False
    for work in rounds[0][base]:
        cells = []
        for mode in modes:
            spent = Spread.of(each[mode][work] for each in rounds)
            ratio = Spread.of(each[mode][work] / each[base][work] for each in rounds)
            cells.append(shown(spent, 1))
            if mode != base:
                cells[-1] += f", x {shown(ratio, 2)}"
            if mode == "off" and base == "before" and ratio is not None:
                is_slower |= ratio.median > _TOLERATED
        print(f"| {work} | {' | '.join(cells)} |")
    return int(is_slower)


def _run(mode: str, before: Path | None) -> dict[str, float]:
    environ = dict(os.environ)
    if mode == "before":
        environ["PYTHONPATH"] = str(before)
    found: dict[str, float] = json.loads(
        subprocess.run(  # noqa: S603 -- this Python and a file of this package
            [sys.executable, _WORK, "off" if mode == "before" else mode],
            env=environ,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
