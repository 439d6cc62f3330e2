"""Speed of reading a list, compared with the alternatives: ``python -m benchmarks.reads``.

The benchmark reads the interactions of one agent page by page, from an index of a DynamoDB Local in
memory or of the server at DYNAMODB_ENDPOINT. Each contender returns the items as its users get
them: as typed models, plain values, or in DynamoDB's wire format. The contenders take turns. Each
run has its own process, which gives its CPU time and its peak memory. The time includes all items,
but not the creation of the client.

``--to-parquet`` adds a second table for writing the items to Parquet. This package exports the
table; the others write one file.

Without a limit DynamoDB Local scans the complete rest of a list for each page. So contenders set a
page size if they can; PynamoDB is also measured without one. pydynantic has no page size, so it
takes minutes for 100,000 items.

The exit status is 1 if a contender reads another number of items, and 2 if a library is missing.
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
from benchmarks.reads.files import ROWS_OF, export_interactions, write_rows
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
# The warm-up reads this number of times or of items, whichever is less.
_WARM_UP_RUNS, _WARM_UP_ITEMS = 5, 50_000
_AGENT, _TIMES = "ada", "-times"
_FIRST = datetime(2031, 5, 17, tzinfo=UTC)

Runs = dict[str, list[dict[str, float]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    chosen = _parser().parse_args(arguments)
    if chosen.run is not None:
        run = _one(chosen.run, chosen.endpoint, chosen.table, to_parquet=chosen.to_parquet)
        print(json.dumps(run))
        return 0
    chosen_names = [chosen.profile] if chosen.profile else chosen.only or CONTENDERS
    contenders = [CONTENDERS[name] for name in chosen_names]
    if missing := sorted({each for one in contenders for each in one.missing()}):
        print(
            f"Not installed: {', '.join(missing)}. Run: pip install -e '.[bench]'", file=sys.stderr
        )
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
                        # Gives Java time to compile the server.
                        warm_up = max(1, min(_WARM_UP_RUNS, _WARM_UP_ITEMS // size))
                        _rounds(settings, [_CEILING], warm_up, to_parquet=False)
                        is_warm = True
                    runs = _rounds(settings, names, chosen.rounds, to_parquet=to_parquet)
                    if wrong := {name for name in runs if _items(runs[name]) != {size}}:
                        print(f"{', '.join(wrong)} did not read {size} items.", file=sys.stderr)
                        return 1
                    _report(size, runs, chosen.rounds, to_parquet=to_parquet)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, prog=_PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--items", type=int, nargs="+", default=[10_000], help="Sizes of the list. Default: 10000."
    )
    parser.add_argument("--rounds", type=int, default=5, help="Number of rounds. Default: 5.")
    parser.add_argument(
        "--only", nargs="+", choices=list(CONTENDERS), help="Contenders. Default: all."
    )
    parser.add_argument(
        "--profile", choices=list(CONTENDERS), help="Print a profile of one contender only."
    )
    parser.add_argument(
        "--to-parquet", action="store_true", help="Measure writing to Parquet as well."
    )
    for hidden in ("--run", "--endpoint", "--table"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    return parser


@contextmanager
def _tables(endpoint: str, size: int, *, own_times: bool) -> Iterator[Settings]:
    """Fill the table to read, and if needed one with times in the format of PynamoDB."""
    name = f"quill-benchmark-{secrets.token_hex(8)}"
    all_settings = [Settings(endpoint=endpoint, table=name)]
    if own_times:
        all_settings.append(Settings(endpoint=endpoint, table=f"{name}{_TIMES}"))
    for settings in all_settings:
        with connect(settings) as quill:
            quill.schema.apply(stream=False)
        _fill(settings, size, own_times=settings.table.endswith(_TIMES))
    yield all_settings[0]
    for settings in all_settings:
        with connect(settings) as quill:
            quill.schema.delete_table()


def _reading(name: str, endpoint: str | None, table: str) -> Iterator[Any]:
    """Open a contender and its first connection, and return the iterator of its items."""
    contender = CONTENDERS[name]
    filled = f"{table}{_TIMES}" if contender.own_times else table
    read = contender.open(Settings(endpoint=endpoint, table=filled))
    for _ in read("unknown"):
        pass
    return read(_AGENT)


def _one(name: str, endpoint: str, table: str, *, to_parquet: bool) -> dict[str, float]:
    """Measure one run in this process."""
    reading = _reading(name, endpoint, table)
    with TemporaryDirectory(prefix="quill-benchmark-") as folder:
        started, cpu = time.perf_counter(), time.process_time()
        if not to_parquet:
            items = sum(1 for _ in reading)
        elif name == _OURS:
            items = export_interactions(
                Settings(endpoint=endpoint, table=table), Path(folder) / "out"
            )
        else:
            items = write_rows(ROWS_OF[name](reading), Path(folder) / "out.parquet")
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
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
        wire_item = one.to_item(DEFAULT_SHARDS)
        if own_times:
            for name in ("created_at", "updated_at", "started_at", "ended_at"):
                wire_item[name] = {"S": wire_item[name]["S"].replace("Z", "+0000")}
        return wire_item

    put_blindly(settings, map(item, range(size)))


def _report(size: int, runs: Runs, rounds: int, *, to_parquet: bool) -> None:
    what = "items to Parquet" if to_parquet else "items"
    print(f"\nMeasured on {date.today().isoformat()}: {size:,} {what};")  # noqa: DTZ011
    print(f"median (minimum-maximum) of {rounds} rounds.\n")
    print("| | items/s | to PynamoDB | to bare HTTP | CPU µs per item | peak MB |")
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
    _target("at least 0.7 times as fast as bare HTTP", runs, _CEILING, 0.7)


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
