"""How fast a list is read, beside today's alternatives: ``python -m benchmarks.reads``.

One agent's interactions, read page by page from an index of one DynamoDB Local in memory, or of
the DynamoDB that DYNAMODB_ENDPOINT names. Each contender gives the items in the form its users
get: typed models, plain values, or DynamoDB's wire format. Rounds take turns, each run in a process
of its own, so that its CPU time and its peak memory are its own, too. Making the client is not
timed; the first item is, with all that follows.

With ``--to-parquet`` there is a second table, of writing the same to Parquet: this package exports
the table, the others write a file of what they read.

Without a limit DynamoDB Local goes through all the rest of a list for each page. So whoever can
sets a page size; PynamoDB is also shown as it is. Without one, which pydynantic does not have,
100,000 items take minutes.

Exit status 1 where a contender reads another number of items, 2 where a library is missing.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peak_memory import peak_memory
from benchmarks.reads.contenders import CONTENDERS
from benchmarks.reads.files import ROWS_OF, exported, written
from benchmarks.writes.bare_http import put_blindly
from benchmarks.writes.machine import Machine
from benchmarks.writes.results import Spread, shown
from benchmarks.writes.server import given_server, new_server
from quill_models import Interaction, Settings, connect
from quill_models.dynamodb.items import RawItem
from quill_models.dynamodb.shards import DEFAULT_SHARDS
from quill_models.dynamodb.table import Table

_PROGRAM = "python -m benchmarks.reads"
_OURS, _PEER, _CEILING = "quill", "pynamodb", "bare-http"
_SHOWN = 10
# So much is read before it counts: the smaller of both.
_WARM_UP_RUNS, _WARM_UP_ITEMS = 5, 50_000
_AGENT, _TIMES = "ada", "-times"
_FIRST = datetime(2031, 5, 17, tzinfo=UTC)

Runs = dict[str, list[dict[str, float]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    chosen = _parser().parse_args(arguments)
    if chosen.run is not None:
        run = _one(chosen.run, chosen.endpoint, chosen.table, to_parquet=chosen.to_parquet)
        print(json.dumps(run))
        return 0
    named = [chosen.profile] if chosen.profile else chosen.only or CONTENDERS
    contenders = [CONTENDERS[name] for name in named]
    if missing := sorted({each for one in contenders for each in one.missing()}):
        print(f"Not installed: {', '.join(missing)}. pip install -e '.[bench]'", file=sys.stderr)
        return 2
    given = Settings.given_endpoint()
    with (new_server if given is None else given_server(given))() as server:
        print(Machine.this(server.name).text())
        is_warm = False
        for size in chosen.items:
            own_times = any(each.own_times for each in contenders)
            with _tables(server.endpoint, size, own_times=own_times) as settings:
                if chosen.profile is not None:
                    _profile(chosen.profile, settings)
                    continue
                names = [each.name for each in contenders]
                for to_parquet in (False, True) if chosen.to_parquet else (False,):
                    if not is_warm:
                        # Java compiles what it needs.
                        warm_up = max(1, min(_WARM_UP_RUNS, _WARM_UP_ITEMS // size))
                        _rounds(settings, [_CEILING], warm_up, to_parquet=False)
                        is_warm = True
                    runs = _rounds(settings, names, chosen.rounds, to_parquet=to_parquet)
                    if wrong := {name for name in runs if _items(runs[name]) != {size}}:
                        print(f"{', '.join(wrong)} did not read {size} items", file=sys.stderr)
                        return 1
                    _report(size, runs, chosen.rounds, to_parquet=to_parquet)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, prog=_PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[10_000], help="(10000)")
    parser.add_argument("--rounds", type=int, default=5, help="that count (5)")
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), help="some of them (all)")
    parser.add_argument(
        "--profile", choices=list(CONTENDERS), help="print where one spends its time, and no more"
    )
    parser.add_argument("--to-parquet", action="store_true", help="measure writing files, too")
    for hidden in ("--run", "--endpoint", "--table"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    return parser


@contextmanager
def _tables(endpoint: str, size: int, *, own_times: bool) -> Iterator[Settings]:
    """The table that is read, and where it is wanted one with times as PynamoDB writes them."""
    name = f"quill-benchmark-{secrets.token_hex(8)}"
    every = [Settings(endpoint=endpoint, table=name)]
    if own_times:
        every.append(Settings(endpoint=endpoint, table=f"{name}{_TIMES}"))
    for settings in every:
        with connect(settings) as quill:
            quill.schema.apply(stream=False)
        _fill(settings, size, own_times=settings.table.endswith(_TIMES))
    yield every[0]
    for settings in every:
        with connect(settings) as quill:
            quill.schema.delete_table()


def _reading(name: str, endpoint: str | None, table: str) -> Iterator[Any]:
    """The items of a contender whose client is made, and has its first connection."""
    contender = CONTENDERS[name]
    filled = f"{table}{_TIMES}" if contender.own_times else table
    read = contender.open(Settings(endpoint=endpoint, table=filled))
    for _ in read("nobody"):
        pass
    return read(_AGENT)


def _one(name: str, endpoint: str, table: str, *, to_parquet: bool) -> dict[str, float]:
    """One run, in the process that is made for it."""
    reading = _reading(name, endpoint, table)
    with TemporaryDirectory(prefix="quill-benchmark-") as folder:
        begun, cpu = time.perf_counter(), time.process_time()
        if not to_parquet:
            items = sum(1 for _ in reading)
        elif name == _OURS:
            items = exported(Settings(endpoint=endpoint, table=table), Path(folder) / "out")
        else:
            items = written(ROWS_OF[name](reading), Path(folder) / "out.parquet")
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {"items": items, "seconds": seconds, "cpu": cpu, "peak": peak_memory()}


def _profile(name: str, settings: Settings) -> None:
    reading = _reading(name, settings.endpoint, settings.table)
    profile = cProfile.Profile()
    profile.enable()
    items = sum(1 for _ in reading)
    profile.disable()
    found = pstats.Stats(profile)
    # (file, line, function): (calls, …, own seconds, …)
    entries = sorted(found.stats.items(), key=lambda entry: -entry[1][2])  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(f"\n{CONTENDERS[name].label}: own time in microseconds for each of {items:,} items")
    for (file, _, function), (_, calls, own, *_) in entries[:_SHOWN]:
        where = f"{Path(file).name}:{function}" if file != "~" else function
        print(f"{own / items * 1e6:8.1f}  {calls / items:8.2f} calls  {where}")


def _rounds(settings: Settings, names: Sequence[str], rounds: int, *, to_parquet: bool) -> Runs:
    runs: Runs = {name: [] for name in names}
    for number in range(rounds):
        at = number % len(names)
        for name in [*names[at:], *names[:at]]:
            found = subprocess.run(  # noqa: S603 -- this module
                [
                    *(sys.executable, "-m", "benchmarks.reads", "--run", name),
                    *("--endpoint", str(settings.endpoint), "--table", settings.table),
                    *(["--to-parquet"] if to_parquet else []),
                ],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            run = json.loads(found.stdout)
            runs[name].append(run)
            rate = run["items"] / run["seconds"]
            print(f"round {number + 1}: {name} {rate:,.0f} items/s", file=sys.stderr)
    return runs


def _fill(settings: Settings, size: int, *, own_times: bool) -> None:
    table = Table(settings)

    def item(number: int) -> RawItem:
        started = _FIRST + timedelta(seconds=number)
        one = Interaction(
            interaction_id=f"call-{number:08d}",
            source="hubspot",
            external_id=str(7_000_000 + number),
            agent_id=_AGENT,
            contact_id=str(number % 500),
            channel="call",
            direction="inbound",
            started_at=started,
            ended_at=started + timedelta(seconds=60),
            duration_seconds=60,
            outcome="connected",
            subject="A question about an invoice",
            attributes={"queue": "sales", "waited": 12},
        )
        one.stamp(table)
        made = one.to_item(DEFAULT_SHARDS)
        if own_times:
            for name in ("created_at", "updated_at", "started_at", "ended_at"):
                made[name] = {"S": made[name]["S"].replace("Z", "+0000")}
        return made

    put_blindly(settings, map(item, range(size)))


def _report(size: int, runs: Runs, rounds: int, *, to_parquet: bool) -> None:
    what = "items to Parquet" if to_parquet else "items"
    print(f"\nMeasured on {date.today().isoformat()}: {size:,} {what}; the median of {rounds} ")  # noqa: DTZ011
    print("rounds, with the least and the most.\n")
    print("| | items/s | to PynamoDB | to bare HTTP | CPU µs an item | peak MB |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, each in runs.items():
        cells = (
            shown(Spread.of(_rates(each)), 0),
            _ratio(runs, name, _PEER),
            _ratio(runs, name, _CEILING),
            f"{median(run['cpu'] / run['items'] for run in each) * 1e6:.0f}",
            f"{median(run['peak'] for run in each) / 2**20:.0f}",
        )
        label = "quill export_files" if to_parquet and name == _OURS else CONTENDERS[name].label
        print(f"| {label} | {' | '.join(cells)} |")
    if to_parquet:
        return
    _target("at least 3 times as fast as PynamoDB's query of an equal model", runs, _PEER, 3)
    _target("at least 0.7 of bare HTTP", runs, _CEILING, 0.7)


def _items(runs: Iterable[dict[str, float]]) -> set[float]:
    return {run["items"] for run in runs}


def _rates(runs: Iterable[dict[str, float]]) -> list[float]:
    return [run["items"] / run["seconds"] for run in runs]


def _ratios(runs: Runs, name: str, base: str) -> Spread | None:
    if not {name, base} <= runs.keys():
        return None
    return Spread.of(
        one / other for one, other in zip(_rates(runs[name]), _rates(runs[base]), strict=True)
    )


def _ratio(runs: Runs, name: str, base: str) -> str:
    return shown(_ratios(runs, name, base), 2)


def _target(text: str, runs: Runs, base: str, at_least: float) -> None:
    found = _ratios(runs, _OURS, base)
    if found is not None:
        reached = "yes" if found.median >= at_least else "no"
        print(f"\n- list_by_agent is {text}: {reached}, {shown(found, 2)}")


if __name__ == "__main__":
    sys.exit(main())
