"""Puts of many new items outside a transaction, at half of its write units.

A batch of PartiQL ``INSERT``s: each stands alone, and costs what a plain put does. An ``INSERT``
knows no conditions and does not return what it met, so that those who met an item are looked up
in one more request, and what has expired is replaced by a plain put.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.multiplestatements.batching.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quill_models.dynamodb.table import Table
from quill_models.values.errors import RequestRejected
from quill_models.writes.actions import PASSING, NotDone, Put, Refusal, do_one

__all__ = ["fits", "insert_each"]

BATCH_STATEMENTS = 25
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchStatementRequest.html
STATEMENT_CHARACTERS = 8192

_EXISTS = "DuplicateItem"


def insert_each(table: Table, puts: Sequence[Put]) -> NotDone:
    """Carry out puts that want absence, each by itself.

    A put that is neither refused nor busy was done.

    Raises:
        RequestRejected: DynamoDB refused one for a reason of its own; others may be done.
    """
    not_done = NotDone([None] * len(puts), [False] * len(puts))
    met: list[int] = []
    for start in range(0, len(puts), BATCH_STATEMENTS):
        batch = puts[start : start + BATCH_STATEMENTS]
        for at, code in zip(range(start, start + len(batch)), _insert(table, batch), strict=True):
            if code == _EXISTS:
                met.append(at)
            elif code in PASSING:
                not_done.busy[at] = True
            elif code is not None:
                raise RequestRejected(
                    f"DynamoDB refused to write {puts[at].key}: {code}", code=code
                )
    found = table.get_many(puts[at].key for at in met) if met else {}
    for at in met:
        item = found.get(puts[at].key)
        if item is not None:
            not_done.refusals[at] = Refusal(item)
        elif again := do_one(table, [puts[at]]):
            # It had expired, or was deleted meanwhile, and now another writer was faster.
            not_done.refusals[at] = again.refusals[0]
    return not_done


def _insert(table: Table, puts: Sequence[Put]) -> list[str | None]:
    """For each put DynamoDB's error code, ``None`` where it was done."""
    statements = [_statement(table, put) for put in puts]
    answer = table.client.request("batch_execute_statement", Statements=statements)
    return [each["Error"]["Code"] if "Error" in each else None for each in answer["Responses"]]


def _statement(table: Table, put: Put) -> dict[str, Any]:
    names = ", ".join("'{}': ?".format(name.replace("'", "''")) for name in put.item)
    return {
        "Statement": f'INSERT INTO "{table.name}" VALUE {{{names}}}',
        "Parameters": list(put.item.values()),
    }


def fits(put: Put) -> bool:
    """Whether a put can be sent as a statement; the names of its attributes stand in it."""
    return sum(len(name) + 8 for name in put.item) + 300 < STATEMENT_CHARACTERS
