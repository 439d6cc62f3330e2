"""CPU time of imports: ``python -m benchmarks.import_time``.

Each import runs in fresh processes, in turn with ``import pynamodb.models``. The CPU time is
measured inside the process, so it excludes the start of Python. The exit status is 1 if
``import quill_models`` takes more than 1.15 times the CPU time of ``import pynamodb.models``.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

BASE = "import pynamodb.models"
PACKAGE = "import quill_models"
# The statements of a program before its first request.
STATEMENTS = (
    PACKAGE,
    "from quill_models import Agent, connect; connect()",
    "from quill_models import connect; connect().agents",
    "from quill_models import *",
)
ALLOWED = 1.15
_SHOWN_MODULES = 12
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
_TIMED = "import time\nstarted = time.process_time()\n{}\nprint(time.process_time() - started)"


@dataclass(frozen=True)
class Cost:
    """The cost of a statement, compared with the base in the same round.

    Attributes:
        statement: Statement that was timed.
        seconds: CPU time of each round.
        ratios: CPU time of each round divided by that of the base.
    """

    statement: str
    seconds: Sequence[float]
    ratios: Sequence[float]


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 -- Python


def _cpu_seconds(statement: str) -> float:
    return float(_python("-c", _TIMED.format(statement)).stdout)


def measure(rounds: int, statements: Sequence[str] = STATEMENTS) -> list[Cost]:
    """Time the base and then each statement, in each round."""
    seconds: dict[str, list[float]] = {each: [] for each in (BASE, *statements)}
    for statement in seconds:
        # Compiles the modules and fills the file cache before the first round.
        _cpu_seconds(statement)
    for _ in range(rounds):
        for statement, times in seconds.items():
            times.append(_cpu_seconds(statement))
    base = seconds[BASE]
    return [
        Cost(statement, times, [one / other for one, other in zip(times, base, strict=True)])
        for statement, times in seconds.items()
    ]


def slowest_modules(statement: str) -> list[tuple[int, str]]:
    """Return the own import times of modules in microseconds, longest first."""
    printed = _python("-X", "importtime", "-c", statement).stderr
    return sorted(((int(own), module) for own, module in _LINE.findall(printed)), reverse=True)


def report(costs: Sequence[Cost]) -> bool:
    """Print a table. Return whether the import of the package is within its limit."""
    print("| | CPU ms | to pynamodb.models |\n|---|---:|---:|")
    for cost in costs:
        print(
            f"| `{cost.statement}` | {statistics.median(cost.seconds) * 1000:.1f} "
            f"| {_spread(cost.ratios)} |"
        )
    (package,) = [cost for cost in costs if cost.statement == PACKAGE]
    fine = statistics.median(package.ratios) <= ALLOWED
    reached = "yes" if fine else "no"
    print(
        f"\n- {PACKAGE} takes at most {ALLOWED} times the CPU time of {BASE}: "
        f"{reached}, {_spread(package.ratios)}\n"
    )
    return fine


def _spread(numbers: Sequence[float]) -> str:
    return f"{statistics.median(numbers):.2f} ({min(numbers):.2f}-{max(numbers):.2f})"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.import_time")
    parser.add_argument("--rounds", type=int, default=15, help="Number of rounds. Default: 15.")
    chosen = parser.parse_args()
    fine = report(measure(chosen.rounds))
    for statement in (PACKAGE, STATEMENTS[1]):
        print(f"Slowest modules of `{statement}`, own time in µs:")
        for own, module in slowest_modules(statement)[:_SHOWN_MODULES]:
            print(f"  {own:6,}  {module}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
