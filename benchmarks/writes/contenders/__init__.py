"""All ways to write events, in the order of the report."""

from __future__ import annotations

from benchmarks.writes.contender import Contender

__all__ = ["CONTENDERS"]

_ALL = (
    Contender("quill-record", "quill record, one by one", "quill:record"),
    Contender("quill-many", "quill record_many", "quill:record_many"),
    Contender("quill-many-cost", 'quill record_many, prefer="cost"', "quill:record_many_cost"),
    # Other possible implementations of record_many.
    Contender("quill-record-8", "quill record, 8 threads", "quill:record_in_threads"),
    Contender("partiql", "PartiQL INSERT of 25, 4 threads", "partiql:insert"),
    # Other libraries.
    Contender("pynamodb-save", "PynamoDB save(condition)", "pynamodb_model:save"),
    Contender(
        "pynamodb-save-8", "PynamoDB save(condition), 8 threads", "pynamodb_model:save_in_threads"
    ),
    Contender(
        "pynamodb-batch", "PynamoDB batch_write, blind", "pynamodb_model:batch_write", reports=False
    ),
    Contender("boto3-put", "boto3 put_item(condition)", "boto3_client:put", ("boto3",)),
    Contender(
        "boto3-put-8",
        "boto3 put_item(condition), 8 threads",
        "boto3_client:put_in_threads",
        ("boto3",),
    ),
    Contender(
        "powertools",
        "Powertools idempotent_function",
        "powertools:idempotent",
        ("boto3", "aws_lambda_powertools"),
        own_form=True,
    ),
    Contender(
        "aiodynamo",
        "aiodynamo put_item(condition), 8 at a time",
        "aiodynamo_client:put",
        ("aiodynamo", "aiohttp"),
    ),
    Contender(
        "pydynantic",
        "pydynantic put(condition)",
        "pydynantic_entity:put",
        ("boto3", "pydynantic"),
    ),
    # The maximum rate of the server, with almost no work in the client.
    Contender(
        "ceiling-batch", "bare HTTP BatchWriteItem of 25, blind", "ceilings:batch", reports=False
    ),
    Contender("ceiling-transaction", "bare HTTP transactions of 100", "ceilings:transaction"),
)

CONTENDERS = {contender.name: contender for contender in _ALL}
