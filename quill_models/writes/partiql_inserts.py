"""Puts of many new items outside a transaction, at half of its write units.

Each ``INSERT`` of a PartiQL batch succeeds or fails alone and costs as much as a plain put. It has
no condition and does not return the stored item. So stored items are read in one more request, and
expired ones are replaced by a plain put.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.multiplestatements.batching.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quill_models.dynamodb.table import Table
from quill_models.values.errors import RequestRejected
from quill_models.writes.actions import TRANSIENT, NotDone, Put, Refusal, do_one

__all__ = ["fits", "insert_each"]

BATCH_STATEMENTS = 25
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchStatementRequest.html
STATEMENT_CHARACTERS = 8192

_EXISTS = "DuplicateItem"


def insert_each(table: Table, puts: Sequence[Put]) -> NotDone:
    """Send puts that require absence, each independent of the others.

    A put that is neither refused nor busy has succeeded.

    Raises:
        RequestRejected: DynamoDB rejected a put. Others may have succeeded.
    """
    not_done = NotDone([None] * len(puts), [False] * len(puts))
    existing: list[int] = []
    for start in range(0, len(puts), BATCH_STATEMENTS):
        batch = puts[start : start + BATCH_STATEMENTS]
        for at, code in zip(range(start, start + len(batch)), _insert(table, batch), strict=True):
            if code == _EXISTS:
                existing.append(at)
            elif code in TRANSIENT:
                not_done.busy[at] = True
            elif code is not None:
                raise RequestRejected(
                    f"DynamoDB rejected the write to {puts[at].key.pk} / {puts[at].key.sk}: {code}",
                    code=code,
                )
    found = table.get_many(puts[at].key for at in existing) if existing else {}
    for at in existing:
        item = found.get(puts[at].key)
        if item is not None:
            not_done.refusals[at] = Refusal(item)
        elif again := do_one(table, [puts[at]]):
            # The item had expired or was deleted, but another writer was faster.
            not_done.refusals[at] = again.refusals[0]
    return not_done


def _insert(table: Table, puts: Sequence[Put]) -> list[str | None]:
    """Return the error code of each put, ``None`` if it succeeded."""
    statements = [_statement(table, put) for put in puts]
    response = table.client.request("batch_execute_statement", Statements=statements)
    return [each["Error"]["Code"] if "Error" in each else None for each in response["Responses"]]


def _statement(table: Table, put: Put) -> dict[str, Any]:
    names = ", ".join("'{}': ?".format(name.replace("'", "''")) for name in put.item)
    return {
        "Statement": f'INSERT INTO "{table.name}" VALUE {{{names}}}',
        "Parameters": list(put.item.values()),
    }


def fits(put: Put) -> bool:
    """Return whether a put fits into a statement, which contains its attribute names."""
    return sum(len(name) + 8 for name in put.item) + 300 < STATEMENT_CHARACTERS
