"""The simulation of the hottest keys, at the load that the docs speak of."""

from __future__ import annotations

import pytest

from benchmarks.heat import READ_LIMIT, WRITE_LIMIT, Ledger, Simulation, Workload


def hottest(ledger: Ledger) -> tuple[float, float]:
    return max(ledger.write_heat.values()), max(ledger.read_heat.values())


@pytest.mark.soak
def test_no_key_is_above_its_limit_at_ten_thousand_events_a_second(soak: bool) -> None:
    # A sixteenth of the events on a sixteenth of the shards: each key takes as much.
    part = 1 if soak else 16
    events = 10_000 // part
    ledger = Simulation(Workload(events=events, seconds=1, shards=64 // part)).run()
    writes, reads = hottest(ledger)
    assert writes <= WRITE_LIMIT
    assert reads <= READ_LIMIT
    assert sum(ledger.writes.values()) > 10 * events


def test_too_few_shards_are_seen() -> None:
    ledger = Simulation(Workload(events=800, seconds=1, shards=1)).run()
    assert hottest(ledger)[0] > WRITE_LIMIT
    hot = {key for (key, _), units in ledger.write_heat.items() if units > 2 * WRITE_LIMIT}
    assert any(key.startswith("gsi2 WORK#hubspot#") for key in hot)


def test_a_usual_event_is_one_write_unit() -> None:
    simulation = Simulation(Workload(events=100, seconds=1, shards=4))
    ledger = simulation.run()
    units = {
        units for (key, _), units in ledger.write_heat.items() if key.startswith("table WEBHOOK")
    }
    # Recorded, claimed and completed in a transaction each (2); a redelivery is refused (2).
    assert units == {6, 8}
