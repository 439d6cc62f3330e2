"""The monthly bill of webhook events: ``python -m benchmarks.monthly_cost``.

Builds the items of an event with the real models, from its record to its completion, and adds up
the write units of the table and its indexes. Sends no request.

Prices: on-demand capacity in us-west-2, US dollars, without the free tier.
https://aws.amazon.com/dynamodb/pricing/on-demand/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from itertools import chain

from benchmarks.heat import DOLLARS_PER_MILLION_WRITES, SECONDS_A_MONTH, START, Ledger, Stream
from benchmarks.heat import Workload as HeatWorkload
from quill_models.dynamodb.items import RawItem, size_of
from quill_models.dynamodb.table import Table
from quill_models.models import INDEXES, EventStatus, WebhookEvent
from quill_models.settings import Settings

DOLLARS_PER_GB_MONTH = 0.25
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
ITEM_OVERHEAD_BYTES = 100
SHARDS = 4
# Enough events for an average size.
SAMPLE = 200


def _items(event: WebhookEvent, table: Table) -> tuple[RawItem, RawItem, RawItem]:
    """Return the stored items of an event: recorded, claimed, completed."""
    steps = (
        (EventStatus.PENDING, None, None),
        (EventStatus.PROCESSING, START + timedelta(minutes=5), "k3jd8s2q"),
        (EventStatus.PROCESSED, None, None),
    )
    items = []
    for status, due_at, lease_id in steps:
        event.status, event.due_at, event.lease_id = status, due_at, lease_id
        event.stamp(table)
        items.append(event.to_item(SHARDS))
    return items[0], items[1], items[2]


def dollars_per_event() -> dict[str, float]:
    """Return the average cost in dollars of each step of one event."""
    table = Table(Settings(), clock=lambda: START)
    ledger = Ledger()
    stored_bytes = 0
    for event in Stream(HeatWorkload(events=SAMPLE, seconds=1, shards=SHARDS)).second(0):
        recorded, claimed, completed = _items(event, table)
        ledger.write("record", 0, None, recorded, transaction=True)
        ledger.write('record, prefer="cost"', 0, None, recorded)
        ledger.write("claim", 0, recorded, claimed, transaction=True)
        ledger.write("complete", 0, claimed, completed)
        copies = 1 + sum(f"{index}pk" in completed for index in INDEXES)
        stored_bytes += copies * (size_of(completed) + ITEM_OVERHEAD_BYTES)
    cost = {
        step: units / SAMPLE * DOLLARS_PER_MILLION_WRITES / 1e6
        for step, units in ledger.writes.items()
    }
    retention = Settings().webhook_retention or timedelta()
    months = retention.total_seconds() / SECONDS_A_MONTH
    cost["storage"] = stored_bytes / SAMPLE / 1e9 * DOLLARS_PER_GB_MONTH * months
    return cost


def table_of(rates: Sequence[float]) -> list[str]:
    """Return the lines of the table for rates of events a second."""
    cost = dollars_per_event()
    steps = ("record", "claim", "complete", "storage")
    lines = [
        f"{'events/s':>10}" + "".join(f"{step:>11}" for step in (*steps, "total")) + "  cheapest"
    ]
    for rate in rates:
        monthly = {step: dollars * rate * SECONDS_A_MONTH for step, dollars in cost.items()}
        total = sum(monthly[step] for step in steps)
        saved = monthly["record"] - monthly['record, prefer="cost"']
        cells = (f"{value:>11,.2f}" for value in chain((monthly[each] for each in steps), [total]))
        lines.append(f"{rate:>10g}" + "".join(cells) + f"{total - saved:>10,.2f}")
    return lines


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.monthly_cost",
        description="Print the monthly bill of webhook events in US dollars.",
    )
    parser.add_argument(
        "rates", nargs="*", type=float, default=[1, 10, 100], help="events a second (1 10 100)"
    )
    print("\n".join(table_of(parser.parse_args().rates)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
