"""An empty table for each test, without creating one for each test.

Creating and deleting a table takes longer than most tests. Deleting the few items of a test takes
at most a tenth of that. ``quill = tables.emptied`` in a module replaces the fixture ``quill``
there, also for fixtures that use it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from quill_models import Quill, connect
from quill_models.dynamodb.shards import DEFAULT_SHARDS, TABLE_SETTINGS
from quill_models.errors import TableNotFound

BATCH_SIZE = 25
# With more items, a new table is faster.
MAX_DELETES = 100


@pytest.fixture
def emptied(shared: Quill, request: pytest.FixtureRequest) -> Iterator[Quill]:
    # As a new connection, which reads the number of shards with its first request.
    shared._table._shards.invalidate()
    with ExitStack() as opened:
        quill = shared
        if "quill_clock" in request.fixturenames:
            clock = request.getfixturevalue("quill_clock")
            quill = opened.enter_context(connect(shared.settings, clock=clock))
        yield quill
    empty(shared)


def empty(quill: Quill) -> None:
    """Empty the table: delete its items, or the table if there are too many."""
    request, table = quill.schema.client.request, quill.settings.table
    response: dict[str, Any] = {"Items": [], "LastEvaluatedKey": None}
    with suppress(TableNotFound):
        response = request(
            "scan",
            TableName=table,
            ProjectionExpression="pk, sk, shards, next_shards",
            ConsistentRead=True,
            Limit=MAX_DELETES + 1,
        )
    found = {(item.pop("pk")["S"], item.pop("sk")["S"]): item for item in response["Items"]}
    settings = found.pop(TABLE_SETTINGS, None)
    if "LastEvaluatedKey" in response or settings != {"shards": {"N": str(DEFAULT_SHARDS)}}:
        quill.schema.delete_table()
        quill.schema.apply(stream=False, ttl=False)
        return
    deletes = [{"DeleteRequest": {"Key": {"pk": {"S": pk}, "sk": {"S": sk}}}} for pk, sk in found]
    for start in range(0, len(deletes), BATCH_SIZE):
        batch = deletes[start : start + BATCH_SIZE]
        response = request("batch_write_item", RequestItems={table: batch})
        assert response["UnprocessedItems"] == {}
