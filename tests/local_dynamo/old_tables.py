"""Tables as older versions of the package made them, and migrations of a test's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quill_models import Metric, Quill, Settings, connect
from quill_models.migrations import Migrations
from quill_models.schema import declared_table
from tests.local_dynamo.support import botocore_of
from tests.unit.migrations.files import package_of

# Attributes that a metric did not have before it was listed by day.
ADDED = ("gsi3pk", "gsi3sk")
_BATCH = 25


@contextmanager
def old_table(settings: Settings) -> Iterator[Quill]:
    """A table without settings of its own and without a history; without a stream, as `quill`'s."""
    with connect(settings) as quill:
        declared = declared_table()
        del declared["StreamSpecification"]
        client = botocore_of(quill)
        client.create_table(TableName=settings.table, **declared)
        client.get_waiter("table_exists").wait(TableName=settings.table)
        yield quill
        quill.schema.delete_table()


def old_item(quill: Quill, metric: Metric) -> dict[str, Any]:
    """A metric as it was stored before it was listed by day."""
    metric.stamp(quill._table)
    item = metric.to_item(4)
    return {name: value for name, value in item.items() if name not in ADDED}


def store_all(quill: Quill, items: Iterable[dict[str, Any]]) -> None:
    """Put items in the server's wire format, past the package."""
    puts = [{"PutRequest": {"Item": item}} for item in items]
    for at in range(0, len(puts), _BATCH):
        answer = quill.schema.client.request(
            "batch_write_item", RequestItems={quill.settings.table: puts[at : at + _BATCH]}
        )
        assert answer["UnprocessedItems"] == {}


def migrations_of(quill: Quill, folder: Path) -> Migrations:
    """The migrator of a folder of one's own, in a process that has imported none of them."""
    return Migrations(quill._table, quill.job_runs, package_of(folder))
