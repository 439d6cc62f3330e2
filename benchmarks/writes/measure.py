"""Timed runs of a contender on a new table, with a check of the result."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.writes.bare_http import put_blindly, stored_items
from benchmarks.writes.contender import Contender, Counts, RunSetup
from benchmarks.writes.events import Work, item_of, work
from benchmarks.writes.meter import Meter
from benchmarks.writes.server import OpenServer, Server
from benchmarks.writes.units import index_units, table_units
from quill_models import Settings, connect
from quill_models.dynamodb.items import RawItem, key_of, size_of
from quill_models.dynamodb.shards import TABLE_SETTINGS
from quill_models.dynamodb.table import Table

__all__ = ["Run", "WrongResultError", "run_all"]

# Events that each contender writes first, so that Java compiles the server.
_WARM_UP = 500


class WrongResultError(Exception):
    """A contender reported or stored a wrong result."""


@dataclass(frozen=True)
class Run:
    """The measurement of one contender on one input in one round.

    Attributes:
        server: Description of the server.
        seconds: Elapsed time in seconds.
        cpu_seconds: CPU time of this process, with all its threads and the kernel's work for it.
        server_seconds: CPU time of the server; ``None`` if this process did not start it.
        requests: Number of requests, retries included.
        write_units, index_units, read_units: See `benchmarks.writes.units`.
        item_bytes: Mean size of the stored items.
    """

    contender: str
    input: str
    round: int
    server: str
    events: int
    seconds: float
    cpu_seconds: float
    server_seconds: float | None
    requests: int
    write_units: float
    index_units: float
    read_units: float
    item_bytes: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


def run_all(
    open_server: OpenServer,
    contenders: Sequence[Contender],
    inputs: Sequence[str],
    *,
    events: int,
    rounds: int,
    report: Callable[[str], None],
) -> list[Run]:
    """Run every contender on every input in every round.

    Each round begins with another contender, so that none always has the best conditions. Before
    the first round, each contender writes some events that do not count.

    Raises:
        WrongResultError: A contender reported or stored a wrong result.
    """
    runs = []
    with open_server() as server:
        for contender in contenders:
            _run(server, contender, inputs[0], min(_WARM_UP, events), 0)
        for number in range(1, rounds + 1):
            for name in inputs:
                for contender in _rotated(contenders, number):
                    run = _run(server, contender, name, events, number)
                    runs.append(run)
                    report(
                        f"round {number} of {rounds}, {name}: "
                        f"{contender.name} {run.rate:,.0f} events/s"
                    )
    return runs


def _rotated(contenders: Sequence[Contender], by: int) -> list[Contender]:
    start = by % len(contenders)
    return [*contenders[start:], *contenders[:start]]


def _run(server: Server, contender: Contender, name: str, events: int, number: int) -> Run:
    settings = Settings(endpoint=server.endpoint, table=f"quill-benchmark-{secrets.token_hex(8)}")
    with connect(settings) as quill:
        # With each write DynamoDB Local scans the stream records of all earlier tables, so later
        # runs would look slow. On AWS a stream adds no time to a write.
        quill.schema.apply(stream=False)
        try:
            setup = RunSetup(settings, Meter(), work(name, events))
            _store_earlier_events(contender, setup)
            spent, counts = _timed(server, contender, setup)
            items = list(_events_stored(settings))
        finally:
            quill.schema.delete_table()
    _check(contender, setup.work, counts, len(items))
    units = table_units(setup.meter.requests)
    written = counts.created if counts is not None else events
    return Run(
        contender=contender.name,
        input=name,
        round=number,
        server=server.name,
        events=events,
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        server_seconds=spent.server_seconds,
        requests=len(setup.meter.requests),
        write_units=units.writes,
        index_units=written * sum(map(index_units, items)) / len(items),
        read_units=units.reads,
        item_bytes=sum(map(size_of, items)) / len(items),
    )


def _store_earlier_events(contender: Contender, setup: RunSetup) -> None:
    before = setup.work.stored
    if contender.own_form:
        earlier = replace(setup, meter=Meter(), work=Work(before, []))
        with contender.open(earlier) as write:
            write()
        return
    table = Table(setup.settings)
    put_blindly(setup.settings, [item_of(event, table) for event in before])


@dataclass(frozen=True)
class _Spent:
    seconds: float
    cpu_seconds: float
    server_seconds: float | None


def _timed(server: Server, contender: Contender, setup: RunSetup) -> tuple[_Spent, Counts | None]:
    with contender.open(setup) as write:
        # The garbage of earlier runs must not be collected during this run.
        gc.collect()
        server_before = server.cpu_seconds()
        started, cpu_started = time.perf_counter(), time.process_time()
        counts = write()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        after = server.cpu_seconds()
    used = None if server_before is None or after is None else after - server_before
    return _Spent(seconds, cpu_seconds, used), counts


def _events_stored(settings: Settings) -> Iterator[RawItem]:
    for item in stored_items(settings):
        if key_of(item).pk != TABLE_SETTINGS.pk:
            yield item


def _check(contender: Contender, input_: Work, counts: Counts | None, stored: int) -> None:
    events, duplicate = len(input_.events), len(input_.stored)
    expected = Counts(events - duplicate, duplicate) if contender.reports else None
    if counts != expected:
        raise WrongResultError(f"{contender.label} reported {counts}, expected {expected}")
    if stored != events:
        raise WrongResultError(f"{contender.label} stored {stored} items, expected {events}")
