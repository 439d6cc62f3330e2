"""What an import costs: ``python -m benchmarks.import_time``.

Each import is made in fresh processes, in turn with that of ``pynamodb.models``, and its CPU time
is taken inside the process, so that the start of Python does not count. Exit status 1 where
``import quill_models`` costs more than 1.15 of ``import pynamodb.models``.
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
# What a program pays before its first request, by what it does.
STATEMENTS = (
    PACKAGE,
    "from quill_models import Agent, connect; connect()",
    "from quill_models import connect; connect().agents",
    "from quill_models import *",
)
ALLOWED = 1.15
_HEAVIEST = 12
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
_TIMED = "import time\nbegun = time.process_time()\n{}\nprint(time.process_time() - begun)"


@dataclass(frozen=True)
class Cost:
    """What one statement took, beside the base in the same round.

    Attributes:
        statement: what was timed.
        seconds: CPU time in each round.
        ratios: to the base, in each round.
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
    """Each statement after the base, in each round."""
    seconds: dict[str, list[float]] = {each: [] for each in (BASE, *statements)}
    for statement in seconds:
        # Compiled and in the disk's cache, for all alike.
        _cpu_seconds(statement)
    for _ in range(rounds):
        for statement, taken in seconds.items():
            taken.append(_cpu_seconds(statement))
    base = seconds[BASE]
    return [
        Cost(statement, taken, [one / other for one, other in zip(taken, base, strict=True)])
        for statement, taken in seconds.items()
    ]


def heaviest(statement: str) -> list[tuple[int, str]]:
    """The modules that take longest by themselves, in microseconds, by ``-X importtime``."""
    printed = _python("-X", "importtime", "-c", statement).stderr
    return sorted(((int(own), module) for own, module in _LINE.findall(printed)), reverse=True)


def report(costs: Sequence[Cost]) -> bool:
    """Print them as a table; whether the package's own import is within what is allowed."""
    print("| | CPU ms | to pynamodb.models |\n|---|---:|---:|")
    for cost in costs:
        print(
            f"| `{cost.statement}` | {statistics.median(cost.seconds) * 1000:.1f} "
            f"| {_spread(cost.ratios)} |"
        )
    (package,) = [cost for cost in costs if cost.statement == PACKAGE]
    fine = statistics.median(package.ratios) <= ALLOWED
    answer = "yes" if fine else "no"
    print(f"\n- {PACKAGE} costs at most {ALLOWED} of {BASE}: {answer}, {_spread(package.ratios)}\n")
    return fine


def _spread(numbers: Sequence[float]) -> str:
    return f"{statistics.median(numbers):.2f} ({min(numbers):.2f}-{max(numbers):.2f})"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.import_time")
    parser.add_argument("--rounds", type=int, default=15, help="of fresh processes (15)")
    chosen = parser.parse_args()
    fine = report(measure(chosen.rounds))
    for statement in (PACKAGE, STATEMENTS[1]):
        print(f"Heaviest by itself in `{statement}`, µs:")
        for own, module in heaviest(statement)[:_HEAVIEST]:
            print(f"  {own:6,}  {module}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
