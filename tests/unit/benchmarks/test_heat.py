"""The simulation of hot keys, at the load of the documentation."""

from __future__ import annotations

import pytest

from benchmarks.heat import READ_LIMIT, WRITE_LIMIT, Ledger, Simulation, Workload


def hottest(ledger: Ledger) -> tuple[float, float]:
    return max(ledger.write_heat.values()), max(ledger.read_heat.values())


@pytest.mark.soak
def test_simulation_ten_thousand_events_keeps_limits(soak: bool) -> None:
    # A sixteenth of the events on a sixteenth of the shards gives the same load per key.
    part = 1 if soak else 16
    events = 10_000 // part
    ledger = Simulation(Workload(events=events, seconds=1, shards=64 // part)).run()
    writes, reads = hottest(ledger)
    assert writes <= WRITE_LIMIT
    assert reads <= READ_LIMIT
    assert sum(ledger.writes.values()) > 10 * events


def test_simulation_one_shard_exceeds_write_limit() -> None:
    ledger = Simulation(Workload(events=800, seconds=1, shards=1)).run()
    assert hottest(ledger)[0] > WRITE_LIMIT
    hot = {key for (key, _), units in ledger.write_heat.items() if units > 2 * WRITE_LIMIT}
    assert any(key.startswith("gsi2 WORK#hubspot#") for key in hot)


def test_simulation_event_is_one_write_unit_per_write() -> None:
    simulation = Simulation(Workload(events=100, seconds=1, shards=4))
    ledger = simulation.run()
    units = {
        units for (key, _), units in ledger.write_heat.items() if key.startswith("table WEBHOOK")
    }
    # Record, claim and completion are a transaction each (2); so is a rejected redelivery (2).
    assert units == {6, 8}
