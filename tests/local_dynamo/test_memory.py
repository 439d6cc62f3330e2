"""Bulk writes of any length take the memory of a few hundred items."""

import gc
from collections.abc import Iterator

import psutil
import pytest

from quill_models import Outcome, Quill, WebhookEvent
from tests.local_dynamo.support import event

MEGABYTE = 1024 * 1024


def used() -> int:
    gc.collect()
    size: int = psutil.Process().memory_info().rss
    return size


@pytest.mark.soak
def test_long_lists_and_bulk_writes_memory_is_constant(quill: Quill, *, soak: bool) -> None:
    # Nine tenths are duplicates, so the server stores few items.
    total = 1_000_000 if soak else 5_000
    fresh = min(total // 10, 20_000)

    def deliveries() -> Iterator[WebhookEvent]:
        for number in range(total):
            key = number if number < fresh else number % fresh
            yield event(str(key), payload={"value": "x" * 500})

    results = quill.webhook_events.iter_record_many(deliveries())
    created = seen = start = 0
    for result in results:
        seen += 1
        created += result.outcome is Outcome.CREATED
        if seen == total // 5:
            start = used()
    assert (seen, created) == (total, fresh)
    # All events would need over 1 KB each: 5 MB at the small size, 1 GB at the full size.
    assert used() - start < (40 if soak else 4) * MEGABYTE
