"""Runs: a contender on a fresh table, timed, and what it did checked."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.writes.bare_http import put_blindly, stored_items
from benchmarks.writes.contender import Contender, Site, Told
from benchmarks.writes.events import Work, item_of, work
from benchmarks.writes.meter import Meter
from benchmarks.writes.server import OpenServer, Server
from benchmarks.writes.units import index_units, table_units
from quill_models import Settings, connect
from quill_models.dynamodb.items import RawItem, key_of, size_of
from quill_models.dynamodb.shards import TABLE_SETTINGS
from quill_models.dynamodb.table import Table

__all__ = ["Run", "WrongResultError", "run_all"]

# How many events each contender writes first, for Java to compile what it needs.
_WARM_UP = 500


class WrongResultError(Exception):
    """A contender told something else than what happened, or stored something else."""


@dataclass(frozen=True)
class Run:
    """One contender, once, on one input.

    Attributes:
        server: what it ran on.
        seconds: on the clock.
        cpu_seconds: of this process, all its threads and the system's work for it; the server is
            another process.
        server_seconds: likewise of the server, where it is a process of ours.
        requests: on the wire, retries included.
        write_units, index_units, read_units: see `benchmarks.writes.units`.
        item_bytes: the mean size of what is stored.
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
        """Events a second."""
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
    """Every contender on every input in every round.

    In each round another contender begins, so that none always has the quiet or the busy moment.
    Before the first round, each contender writes some events that do not count.

    Raises:
        WrongResultError: a contender is wrong.
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
        # With each write DynamoDB Local goes through the stream records of all tables it ever had:
        # whoever comes later would look slow. On AWS a stream takes no time from a write.
        quill.schema.apply(stream=False)
        try:
            site = Site(settings, Meter(), work(name, events))
            _store_what_came_before(contender, site)
            spent, told = _timed(server, contender, site)
            items = list(_events_stored(settings))
        finally:
            quill.schema.delete_table()
    _check(contender, site.work, told, len(items))
    units = table_units(site.meter.requests)
    written = told.created if told is not None else events
    return Run(
        contender=contender.name,
        input=name,
        round=number,
        server=server.name,
        events=events,
        seconds=spent.seconds,
        cpu_seconds=spent.cpu_seconds,
        server_seconds=spent.server_seconds,
        requests=len(site.meter.requests),
        write_units=units.writes,
        index_units=written * sum(map(index_units, items)) / len(items),
        read_units=units.reads,
        item_bytes=sum(map(size_of, items)) / len(items),
    )


def _store_what_came_before(contender: Contender, site: Site) -> None:
    before = site.work.stored
    if contender.own_form:
        earlier = replace(site, meter=Meter(), work=Work(before, []))
        with contender.open(earlier) as write:
            write()
        return
    table = Table(site.settings)
    put_blindly(site.settings, [item_of(event, table) for event in before])


@dataclass(frozen=True)
class _Spent:
    seconds: float
    cpu_seconds: float
    server_seconds: float | None


def _timed(server: Server, contender: Contender, site: Site) -> tuple[_Spent, Told | None]:
    with contender.open(site) as write:
        # What earlier runs left must not be cleaned up in this one's time.
        gc.collect()
        of_server = server.cpu_seconds()
        begun, cpu_begun = time.perf_counter(), time.process_time()
        told = write()
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
        after = server.cpu_seconds()
    used = None if of_server is None or after is None else after - of_server
    return _Spent(seconds, cpu_seconds, used), told


def _events_stored(settings: Settings) -> Iterator[RawItem]:
    for item in stored_items(settings):
        # Beside what the table knows about itself.
        if key_of(item).pk != TABLE_SETTINGS.pk:
            yield item


def _check(contender: Contender, given: Work, told: Told | None, stored: int) -> None:
    events, duplicate = len(given.events), len(given.stored)
    right = Told(events - duplicate, duplicate) if contender.tells else None
    if told != right:
        raise WrongResultError(f"{contender.label} told {told}; right is {right}")
    if stored != events:
        raise WrongResultError(f"{contender.label} left {stored} items; right is {events}")
