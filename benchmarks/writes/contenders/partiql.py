"""PartiQL's INSERT, with this package's items and client.

No other request of DynamoDB's holds several conditional writes that do not depend on each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.writes.bare_http import batches
from benchmarks.writes.contender import Site, Told, Write, in_threads
from benchmarks.writes.events import item_of
from quill_models import WebhookEvent, connect
from quill_models.dynamodb.table import Table

__all__ = ["insert"]

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
_BATCH = 25
_THREADS = 4


@contextmanager
def insert(site: Site) -> Iterator[Write]:
    """Batches of 25 in four threads."""
    table = Table(site.settings)
    with connect(site.settings) as quill:
        quill.webhook_events.get("hubspot", "none")
        client: Any = quill.schema.client.botocore
        site.meter.listen(client)

        def insert_batch(events: Sequence[WebhookEvent]) -> list[bool]:
            items = [item_of(event, table) for event in events]
            answer = client.batch_execute_statement(
                Statements=[
                    {
                        "Statement": _statement(site.settings.table, list(item)),
                        "Parameters": list(item.values()),
                    }
                    for item in items
                ]
            )
            return [_created(response) for response in answer["Responses"]]

        def write() -> Told:
            every = in_threads(_THREADS, insert_batch, batches(site.work.events, _BATCH))
            return Told.of(created for batch in every for created in batch)

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
