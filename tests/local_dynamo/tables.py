"""A table that each test finds empty, without one being made for each test.

Making a table and deleting it takes the server and the client longer than most tests; deleting the
few items that a test leaves takes a tenth of that, or less. A module gets it with
``quill = tables.emptied``, and then so do the fixtures that are made from ``quill``.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from quill_models import Quill, connect
from quill_models.dynamodb.shards import DEFAULT_SHARDS, TABLE_SETTINGS
from quill_models.errors import TableNotFound

MOST_IN_A_BATCH = 25
# With more of them a new table is there sooner.
MOST_TO_DELETE = 100


@pytest.fixture
def emptied(shared: Quill, request: pytest.FixtureRequest) -> Iterator[Quill]:
    # A new connection has yet to ask for the number of shards; tests count requests.
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
    answer: dict[str, Any] = {"Items": [], "LastEvaluatedKey": None}
    with suppress(TableNotFound):
        answer = request(
            "scan",
            TableName=table,
            ProjectionExpression="pk, sk, shards, next_shards",
            ConsistentRead=True,
            Limit=MOST_TO_DELETE + 1,
        )
    found = {(item.pop("pk")["S"], item.pop("sk")["S"]): item for item in answer["Items"]}
    settings = found.pop(TABLE_SETTINGS, None)
    if "LastEvaluatedKey" in answer or settings != {"shards": {"N": str(DEFAULT_SHARDS)}}:
        quill.schema.delete_table()
        quill.schema.apply(stream=False, ttl=False)
        return
    deletes = [{"DeleteRequest": {"Key": {"pk": {"S": pk}, "sk": {"S": sk}}}} for pk, sk in found]
    for start in range(0, len(deletes), MOST_IN_A_BATCH):
        batch = deletes[start : start + MOST_IN_A_BATCH]
        answer = request("batch_write_item", RequestItems={table: batch})
        assert answer["UnprocessedItems"] == {}
