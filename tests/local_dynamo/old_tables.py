"""Tables of older versions of the package, and migrations of a test."""

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
    """Create a table without stored settings, migration history or stream."""
    with connect(settings) as quill:
        declared = declared_table()
        del declared["StreamSpecification"]
        client = botocore_of(quill)
        client.create_table(TableName=settings.table, **declared)
        client.get_waiter("table_exists").wait(TableName=settings.table)
        yield quill
        quill.schema.delete_table()


def old_item(quill: Quill, metric: Metric) -> dict[str, Any]:
    """Return the item of a metric from before metrics were listed by day."""
    metric.stamp(quill._table)
    item = metric.to_item(4)
    return {name: value for name, value in item.items() if name not in ADDED}


def store_all(quill: Quill, items: Iterable[dict[str, Any]]) -> None:
    """Put items in the wire format, without the repositories."""
    puts = [{"PutRequest": {"Item": item}} for item in items]
    for at in range(0, len(puts), _BATCH):
        response = quill.schema.client.request(
            "batch_write_item", RequestItems={quill.settings.table: puts[at : at + _BATCH]}
        )
        assert response["UnprocessedItems"] == {}


def migrations_of(quill: Quill, folder: Path) -> Migrations:
    """Return the migrations of a folder, not yet imported by this process."""
    return Migrations(quill._table, quill.job_runs, package_of(folder))
