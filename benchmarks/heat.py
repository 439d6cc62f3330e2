"""Hot keys under load: ``python -m benchmarks.heat --events 10000 --shards 128``.

The simulation sends a stream of HubSpot events through the real parser, models and key composition.
It sums the write and read units that DynamoDB would count, for each second and each partition key
of the table and its indexes. It needs no server. The exit status is 1 if a key exceeds the limit of
DynamoDB.

The units are those of
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
"""

from __future__ import annotations

import argparse
import json
import math
import random
import secrets
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import TypeVar

from quill_models import hubspot
from quill_models.dynamodb.items import RawItem, size_of
from quill_models.dynamodb.table import Table
from quill_models.models import (
    INDEXES,
    Agent,
    EventStatus,
    Grain,
    Interaction,
    JobRun,
    JobStatus,
    Metric,
    QuillModel,
    WebhookEvent,
)
from quill_models.repositories.event_queue import LEASE
from quill_models.repositories.external_ids import put_claims
from quill_models.settings import Settings

T = TypeVar("T")

WRITE_LIMIT = 1_000
READ_LIMIT = 3_000
# On demand, us-west-2, US dollars: https://aws.amazon.com/dynamodb/pricing/on-demand/
DOLLARS_PER_MILLION_WRITES = 0.625
DOLLARS_PER_MILLION_READS = 0.125
SECONDS_A_MONTH = 30 * 24 * 3600

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BATCH = 100


@dataclass(frozen=True)
class Workload:
    """The assumptions about the stream. Options of the command change some of them."""

    events: int
    seconds: int
    shards: int
    objects: int = 1_000_000
    agents: int = 2_000
    teams: int = 40
    # One event in this number is a redelivery.
    one_retry_in: int = 50
    # One event in this number creates an interaction.
    one_interaction_in: int = 5
    # Requests per second for each query of the dashboard.
    queries: int = 20
    # Exponent of the popularity by rank: 0 is a uniform distribution, 1 is Zipf's law.
    skew: float = 0.6


@dataclass
class Ledger:
    """Consumed units by access pattern, and by key and second."""

    writes: Counter[str] = field(default_factory=Counter)
    reads: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    write_heat: Counter[tuple[str, int]] = field(default_factory=Counter)
    read_heat: defaultdict[tuple[str, int], float] = field(
        default_factory=lambda: defaultdict(float)
    )

    def write(
        self,
        pattern: str,
        second: int,
        old: RawItem | None,
        new: RawItem | None,
        *,
        transaction: bool = False,
    ) -> None:
        """Count a put, update or delete of an item, with its index writes."""
        item = new or old or {}
        units = _write_units(old, new) * (2 if transaction else 1)
        self._count(pattern, second, f"table {item['pk']['S']}", units)
        for index in INDEXES:
            before, after = _index_key(old, index), _index_key(new, index)
            if before is not None and before == after:
                self._count(pattern, second, f"{index} {before[0]}", _write_units(old, new))
                continue
            if before is not None:
                self._count(pattern, second, f"{index} {before[0]}", _write_units(old, None))
            if after is not None:
                self._count(pattern, second, f"{index} {after[0]}", _write_units(None, new))

    def rejected(
        self, pattern: str, second: int, item: RawItem, *, transaction: bool = False
    ) -> None:
        """Count a write whose condition failed, which consumes units of the table only."""
        units = _write_units(None, item) * (2 if transaction else 1)
        self._count(pattern, second, f"table {item['pk']['S']}", units)

    def read(self, pattern: str, second: int, key: str, size: int, *, strong: bool) -> None:
        """Count a request that reads ``size`` bytes under one partition key."""
        units = max(1, math.ceil(size / 4096)) * (1.0 if strong else 0.5)
        self.reads[pattern] += units
        self.read_heat[key, second] += units

    def _count(self, pattern: str, second: int, key: str, units: int) -> None:
        self.writes[pattern] += units
        self.write_heat[key, second] += units


def _write_units(old: RawItem | None, new: RawItem | None) -> int:
    return max(math.ceil(size_of(item) / 1024) for item in (old, new) if item is not None)


def _index_key(item: RawItem | None, index: str) -> tuple[str, str] | None:
    if item is None or f"{index}pk" not in item:
        return None
    return item[f"{index}pk"]["S"], item[f"{index}sk"]["S"]


class Stream:
    """A reproducible stream of HubSpot events."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._random = random.Random(20261123)  # noqa: S311 -- no secret
        self._objects = _popularity(workload.objects, workload.skew)
        self._agents = _popularity(workload.agents, workload.skew)
        self._number = 0

    def agent(self) -> int:
        """Pick an agent by popularity."""
        return self._pick(self._agents)

    def second(self, second: int) -> Iterator[WebhookEvent]:
        """Yield the events of one second, in deliveries of up to a hundred."""
        moment = START + timedelta(seconds=second)
        sent: list[dict[str, object]] = []
        for number in range(self._workload.events):
            if sent and number % self._workload.one_retry_in == 0:
                sent.append({**self._random.choice(sent), "attemptNumber": 1})
                continue
            self._number += 1
            milliseconds = int(moment.timestamp() * 1000) + self._random.randrange(1000)
            sent.append(
                {
                    "eventId": 3_000_000_000 + self._number,
                    "subscriptionId": 5120331,
                    "portalId": 48210977,
                    "appId": 4410286,
                    "occurredAt": milliseconds,
                    "subscriptionType": "contact.propertyChange",
                    "attemptNumber": 0,
                    "objectId": 100_000_000 + self._pick(self._objects),
                    "propertyName": self._random.choice(("lifecyclestage", "email", "phone")),
                    "propertyValue": f"value {self._number}",
                    "changeSource": "CRM_UI",
                    "sourceId": "userId:88276103",
                }
            )
        for delivery in _batches(sent):
            yield from hubspot.parse(json.dumps(delivery), received_at=moment)

    def _pick(self, popularity: Sequence[float]) -> int:
        return self._random.choices(range(len(popularity)), cum_weights=popularity)[0]


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(islice(source, BATCH)):
        yield batch


def _popularity(count: int, skew: float) -> list[float]:
    return list(accumulate((rank + 1) ** -skew for rank in range(count)))


class Simulation:
    """Ingestion, processing and queries for the stream of a workload."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._table = Table(Settings(), clock=lambda: START)
        self._stream = Stream(workload)
        self._seen: set[str] = set()
        self._metrics: dict[tuple[str, Grain], RawItem] = {}
        self.ledger = Ledger()

    def run(self) -> Ledger:
        """Run all seconds, and return the consumed units."""
        for second in range(self._workload.seconds):
            for batch in _batches(self._stream.second(second)):
                self._ingest(second, batch)
            self._query_dashboard(second)
        return self.ledger

    def _item(self, model: QuillModel) -> RawItem:
        model.stamp(self._table)
        return model.to_item(self._workload.shards)

    def _ingest(self, second: int, batch: Sequence[WebhookEvent]) -> None:
        self._job_run(second)
        fresh = []
        for event in batch:
            item = self._item(event.copy())
            if event.event_key in self._seen:
                self.ledger.rejected("record: duplicates", second, item, transaction=True)
                continue
            self._seen.add(event.event_key)
            self.ledger.write("record: new events", second, None, item, transaction=True)
            fresh.append((event, item))
        claimed_events = self._claim(second, fresh)
        increments: Counter[tuple[str, Grain]] = Counter()
        for number, (event, item) in enumerate(claimed_events):
            agent = self._stream.agent()
            if number % self._workload.one_interaction_in == 0:
                self._interaction(second, event, agent)
            done = event.copy()
            done.status, done.due_at, done.lease_id = EventStatus.PROCESSED, None, None
            self.ledger.write("complete an event", second, item, self._item(done), transaction=True)
            team = agent % self._workload.teams
            for scope in (f"agent:{agent}", f"team:{team}", "global"):
                for grain in (Grain.HOUR, Grain.DAY):
                    increments[scope, grain] += 1
        for (scope, grain), count in increments.items():
            self._increment(second, scope, grain, count)

    def _claim(
        self, second: int, fresh: Sequence[tuple[WebhookEvent, RawItem]]
    ) -> list[tuple[WebhookEvent, RawItem]]:
        claimed_events = []
        for at, (event, item) in enumerate(fresh):
            claimed = event.copy()
            claimed.status, claimed.lease_id = EventStatus.PROCESSING, secrets.token_urlsafe(6)
            claimed.due_at = START + timedelta(seconds=second) + LEASE
            new = self._item(claimed)
            self.ledger.write("claim an event", second, item, new, transaction=True)
            claimed_events.append((claimed, new))
            # A claim reads the events that it takes from one shard.
            if at == 0:
                size = size_of(item) * len(fresh)
                key = f"gsi2 {item['gsi2pk']['S']}"
                self.ledger.read("work list", second, key, size, strong=False)
        return claimed_events

    def _interaction(self, second: int, event: WebhookEvent, agent: int) -> None:
        interaction = Interaction(
            interaction_id=f"hubspot-{event.event_key[:10]}",
            source="hubspot",
            external_id=event.event_key[:10],
            agent_id=str(agent),
            contact_id=event.object_id,
            channel="call",
            direction="inbound",
            started_at=event.occurred_at,
            duration_seconds=330.5,
            subject="A question about an invoice",
        )
        item = self._item(interaction)
        self.ledger.write("record an interaction", second, None, item, transaction=True)
        for claim in put_claims(interaction, item):
            self.ledger.write("record an interaction", second, None, claim.item, transaction=True)

    def _increment(self, second: int, scope: str, grain: Grain, count: int) -> None:
        metric = Metric(
            scope=scope,
            name="events",
            grain=grain,
            bucket_start=grain.floor(START + timedelta(seconds=second)),
            value=count,
            unit="events",
        )
        new = self._item(metric)
        old = self._metrics.get((scope, grain))
        self.ledger.write("add to metrics", second, old, new, transaction=True)
        self._metrics[scope, grain] = new

    def _job_run(self, second: int) -> None:
        started = JobRun(
            job_name="ingest-hubspot",
            window=f"{second}-{len(self._seen)}",
            run_id="0123456789abcdef",
            owner="worker-01:4711",
            started_at=START,
            lease_expires_at=START + timedelta(minutes=2),
            stats={"events": BATCH, "created": BATCH, "duplicate": 0, "conflict": 0},
        )
        item = self._item(started)
        self.ledger.write("job runs", second, None, item)
        ended = started.copy()
        ended.status, ended.finished_at = JobStatus.SUCCEEDED, START
        self.ledger.write("job runs", second, item, self._item(ended))

    def _query_dashboard(self, second: int) -> None:
        """Count the queries of a dashboard: pages of 50 items of 700 bytes, or single items."""
        page, one = 50 * 700, 700
        day = START.date().isoformat()
        for _ in range(self._workload.queries):
            agent = Agent(agent_id=str(self._stream.agent()), name="Ada", team="1")
            keys = agent.composed_keys(self._workload.shards)
            self._read("A1 agent", second, f"table {keys['pk']}", one, strong=True)
            self._read("A3 team", second, f"gsi2 {keys['gsi2pk']}", page)
            self._read("I3, X1 agent's interactions", second, f"gsi1 {keys['gsi1pk']}", page)
            self._read("M1 series", second, "table METRIC#global#events#hour", page, strong=True)
            self._read("J2 job's runs", second, "gsi1 JOB_RUNS#ingest-hubspot", page)
            for shard in range(self._workload.shards):
                size = page // self._workload.shards
                self._read("J4 status", second, f"gsi3 JOB_STATUS#running#{shard:03d}", size)
                self._read("I5 day", second, f"gsi3 DAY#{day}#{shard:03d}", size)
                self._read("M3 day", second, f"gsi3 METRIC_DAY#{day}#{shard:03d}", size)
                self._read("M2 across", second, f"gsi1 METRIC_BUCKET events {shard:03d}", size)

    def _read(
        self, pattern: str, second: int, key: str, size: int, *, strong: bool = False
    ) -> None:
        self.ledger.read(pattern, second, key, size, strong=strong)


def report(workload: Workload, ledger: Ledger) -> bool:
    """Print the result. Return whether every key stays within its limit."""
    print(
        f"{workload.events:,} events per second for {workload.seconds} s, "
        f"{workload.shards} shards, {workload.objects:,} objects, {workload.agents:,} agents"
    )
    print(f"\n{'pattern':<30}{'writes/s':>12}{'reads/s':>12}{'$ a month':>14}")
    total = 0.0
    for pattern in [*ledger.writes, *ledger.reads]:
        writes = ledger.writes[pattern] / workload.seconds
        reads = ledger.reads[pattern] / workload.seconds
        dollars = (
            (writes * DOLLARS_PER_MILLION_WRITES + reads * DOLLARS_PER_MILLION_READS)
            * SECONDS_A_MONTH
            / 1e6
        )
        total += dollars
        print(f"{pattern:<30}{writes:>12,.0f}{reads:>12,.0f}{dollars:>14,.0f}")
    print(f"{'all':<54}{total:>14,.0f}")
    fine = _hottest("write", ledger.write_heat, WRITE_LIMIT)
    return _hottest("read", ledger.read_heat, READ_LIMIT) and fine


def _hottest(kind: str, heat: Mapping[tuple[str, int], float], limit: int) -> bool:
    highest: dict[str, float] = {}
    for (key, _), units in heat.items():
        highest[key] = max(units, highest.get(key, 0))
    print(f"\nhottest keys: {kind} units in the busiest second (limit {limit:,})")
    hottest = sorted(highest, key=highest.__getitem__, reverse=True)[:10]
    for key in hottest:
        print(f"{highest[key]:>8,.0f}  {key}")
    return highest[hottest[0]] <= limit


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.heat")
    parser.add_argument(
        "--events", type=int, default=10_000, help="Events per second. Default: 10000."
    )
    parser.add_argument("--seconds", type=int, default=3, help="Seconds to simulate. Default: 3.")
    parser.add_argument("--shards", type=int, default=64, help="Shards of the table. Default: 64.")
    parser.add_argument(
        "--skew", type=float, default=0.6, help="Exponent of the popularity. Default: 0.6."
    )
    chosen = parser.parse_args()
    workload = Workload(
        events=chosen.events, seconds=chosen.seconds, shards=chosen.shards, skew=chosen.skew
    )
    fine = report(workload, Simulation(workload).run())
    print("\nNo key exceeds its limit." if fine else "\nA key exceeds its limit. Add shards.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
