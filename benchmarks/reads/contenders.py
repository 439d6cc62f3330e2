"""The contenders. Each reads the interactions of an agent, as its users get them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from typing import Any

from benchmarks.writes.bare_http import ACCESS_KEY, SECRET_KEY, BareHttp
from quill_models import Settings, connect
from quill_models.models.key_schema import agent_collection, interactions_between

__all__ = ["CONTENDERS", "Contender"]

_INDEX = "gsi1"
# About the number of these items in a page of 1 MB.
_PAGE_SIZE = 1500
_BETWEEN = interactions_between(None, None)
_CONDITION: dict[str, Any] = {
    "IndexName": _INDEX,
    "KeyConditionExpression": "gsi1pk = :pk AND gsi1sk BETWEEN :lower AND :upper",
}

# Returns the interactions of an agent.
Read = Callable[[str], Iterator[Any]]
# Creates the client and the model, and returns the function that reads with them.
Open = Callable[[Settings], Read]


def _values(agent: str) -> dict[str, Any]:
    lower, upper = _BETWEEN
    return {
        ":pk": {"S": agent_collection(agent)},
        ":lower": {"S": lower},
        ":upper": {"S": upper},
    }


@dataclass(frozen=True)
class Contender:
    """One way to read the list.

    Attributes:
        name: Name for ``--only``.
        label: Label in the report.
        open: Function that creates the client, and returns the function that reads.
        needs: Required libraries of the extra ``bench``.
        own_times: Whether it reads a separate table with times in the format of PynamoDB.
    """

    name: str
    label: str
    open: Open
    needs: tuple[str, ...] = ()
    own_times: bool = False

    def missing(self) -> list[str]:
        """Return the required libraries that are not installed."""
        return [library for library in self.needs if find_spec(library) is None]


def _quill(settings: Settings) -> Read:
    quill = connect(settings)
    return lambda agent: iter(quill.interactions.list_by_agent(agent))


def _pynamodb(settings: Settings, page_size: int | None = None) -> Read:
    from pynamodb.attributes import (  # noqa: PLC0415 -- imported only in the process that measures it
        JSONAttribute,
        NumberAttribute,
        UnicodeAttribute,
        UTCDateTimeAttribute,
    )
    from pynamodb.indexes import AllProjection, GlobalSecondaryIndex  # noqa: PLC0415 -- as above
    from pynamodb.models import Model  # noqa: PLC0415 -- as above

    class ByAgent(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
        class Meta:
            index_name = _INDEX
            projection = AllProjection()

        gsi1pk = UnicodeAttribute(hash_key=True)
        gsi1sk = UnicodeAttribute(range_key=True)

    class Interaction(Model):
        class Meta:
            table_name = settings.table
            host = settings.endpoint
            region = settings.region
            aws_access_key_id = ACCESS_KEY
            aws_secret_access_key = SECRET_KEY

        by_agent = ByAgent()
        pk = UnicodeAttribute(hash_key=True)
        sk = UnicodeAttribute(range_key=True)
        gsi1pk = UnicodeAttribute(null=True)
        gsi1sk = UnicodeAttribute(null=True)
        gsi2pk = UnicodeAttribute(null=True)
        gsi2sk = UnicodeAttribute(null=True)
        gsi3pk = UnicodeAttribute(null=True)
        gsi3sk = UnicodeAttribute(null=True)
        kind = UnicodeAttribute()
        created_at = UTCDateTimeAttribute()
        updated_at = UTCDateTimeAttribute()
        write_token = UnicodeAttribute()
        interaction_id = UnicodeAttribute()
        source = UnicodeAttribute(null=True)
        external_id = UnicodeAttribute(null=True)
        agent_id = UnicodeAttribute(null=True)
        contact_id = UnicodeAttribute(null=True)
        channel = UnicodeAttribute()
        direction = UnicodeAttribute(null=True)
        started_at = UTCDateTimeAttribute()
        ended_at = UTCDateTimeAttribute(null=True)
        duration_seconds = NumberAttribute(null=True)
        outcome = UnicodeAttribute(null=True)
        subject = UnicodeAttribute(null=True)
        attributes = JSONAttribute(null=True)

    between = ByAgent.gsi1sk.between(*_BETWEEN)
    return lambda agent: Interaction.by_agent.query(
        agent_collection(agent), between, page_size=page_size
    )


def _boto3_resource(settings: Settings) -> Read:
    import boto3  # noqa: PLC0415 -- as above
    from boto3.dynamodb.conditions import Key  # noqa: PLC0415 -- as above

    table = boto3.resource("dynamodb", **_options(settings)).Table(settings.table)

    def read(agent: str) -> Iterator[Any]:
        of_agent = Key("gsi1pk").eq(agent_collection(agent)) & Key("gsi1sk").between(*_BETWEEN)
        parameters: dict[str, Any] = {
            "IndexName": _INDEX,
            "KeyConditionExpression": of_agent,
            "Limit": _PAGE_SIZE,
        }
        while True:
            page = table.query(**parameters)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    return read


def _boto3_client(settings: Settings) -> Read:
    import boto3  # noqa: PLC0415 -- as above

    client = boto3.client("dynamodb", **_options(settings))

    def read(agent: str) -> Iterator[Any]:
        pages = client.get_paginator("query").paginate(
            TableName=settings.table,
            ExpressionAttributeValues=_values(agent),
            PaginationConfig={"PageSize": _PAGE_SIZE},
            **_CONDITION,
        )
        for page in pages:
            yield from page["Items"]

    return read


def _pydynantic(settings: Settings) -> Read:
    import boto3  # noqa: PLC0415 -- as above
    from pydynantic import Entity, Table, key  # noqa: PLC0415 -- as above

    table = Table(
        name=settings.table,
        pk="pk",
        sk="sk",
        indexes={_INDEX: {"pk": "gsi1pk", "sk": "gsi1sk"}},
        client=boto3.client("dynamodb", **_options(settings)),
    )

    class Interaction(Entity, table=table, name="interaction"):  # type: ignore[call-arg, misc]
        kind: str
        write_token: str
        interaction_id: str
        source: str | None = None
        external_id: str | None = None
        agent_id: str
        contact_id: str | None = None
        channel: str
        direction: str | None = None
        started_at: datetime
        ended_at: datetime | None = None
        duration_seconds: float | None = None
        outcome: str | None = None
        subject: str | None = None
        attributes: str | None = None

        class Meta:
            primary = key(pk="INTERACTION#{interaction_id}", sk="INTERACTION")
            by_agent = key(index="gsi1", pk="AGENT#{agent_id}", sk="INTERACTION#{started_at}")

    return lambda agent: Interaction.query.by_agent(agent_id=agent).iter()


def _bare_http(settings: Settings) -> Read:
    connection = BareHttp(settings)

    def read(agent: str) -> Iterator[Any]:
        values = {"ExpressionAttributeValues": _values(agent)}
        return connection.items("Query", {"TableName": settings.table, **values, **_CONDITION})

    return read


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "endpoint_url": settings.endpoint,
        "region_name": settings.region,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
    }


CONTENDERS = {
    each.name: each
    for each in (
        Contender("quill", "quill list_by_agent, typed models", _quill),
        Contender("pynamodb", "PynamoDB query, an equal model", _pynamodb, own_times=True),
        Contender(
            "pynamodb-pages",
            f"PynamoDB, the same with page_size={_PAGE_SIZE:,}",
            partial(_pynamodb, page_size=_PAGE_SIZE),
            own_times=True,
        ),
        Contender("boto3-resource", "boto3 resource, plain values", _boto3_resource, ("boto3",)),
        Contender("boto3-client", "boto3 client, wire format", _boto3_client, ("boto3",)),
        Contender("pydynantic", "pydynantic query", _pydynantic, ("boto3", "pydynantic")),
        Contender("bare-http", "bare HTTP and json, wire format", _bare_http),
    )
}
