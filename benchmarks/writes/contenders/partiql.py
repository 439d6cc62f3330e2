"""PartiQL's INSERT, with the items and the client of this package.

It is the only request of DynamoDB with several independent conditional writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.writes.bare_http import batches
from benchmarks.writes.contender import Counts, RunSetup, Write, in_threads
from benchmarks.writes.events import item_of
from quill_models import WebhookEvent, connect
from quill_models.dynamodb.table import Table

__all__ = ["insert"]

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
_BATCH = 25
_THREADS = 4


@contextmanager
def insert(setup: RunSetup) -> Iterator[Write]:
    """Insert batches of 25 in four threads."""
    table = Table(setup.settings)
    with connect(setup.settings) as quill:
        quill.webhook_events.get("hubspot", "none")
        client: Any = quill.schema.client.botocore
        setup.meter.attach(client)

        def insert_batch(events: Sequence[WebhookEvent]) -> list[bool]:
            items = [item_of(event, table) for event in events]
            response = client.batch_execute_statement(
                Statements=[
                    {
                        "Statement": _statement(setup.settings.table, list(item)),
                        "Parameters": list(item.values()),
                    }
                    for item in items
                ]
            )
            return [_created(each) for each in response["Responses"]]

        def write() -> Counts:
            every = in_threads(_THREADS, insert_batch, batches(setup.work.events, _BATCH))
            return Counts.of(created for batch in every for created in batch)

        yield write


def _statement(table: str, names: list[str]) -> str:
    members = ", ".join(f"'{name}': ?" for name in names)
    return f'INSERT INTO "{table}" VALUE {{{members}}}'


def _created(response: dict[str, dict[str, str]]) -> bool:
    if "Error" not in response:
        return True
    if response["Error"]["Code"] == "DuplicateItem":
        return False
    raise RuntimeError(f"INSERT: {response['Error']}")
