"""aiodynamo, over aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiodynamo.client import Client
from aiodynamo.credentials import Key, StaticCredentials
from aiodynamo.errors import ConditionalCheckFailed, ItemNotFound
from aiodynamo.expressions import F
from aiodynamo.http.aiohttp import AIOHTTP
from aiohttp import ClientSession
from yarl import URL

from benchmarks.writes.bare_http import ACCESS_KEY, SECRET_KEY
from benchmarks.writes.contender import Counts, RunSetup, Write
from benchmarks.writes.contenders.plain_values import flat

__all__ = ["put"]

_AT_A_TIME = 8


@contextmanager
def put(setup: RunSetup) -> Iterator[Write]:
    """Put each event conditionally, eight at a time in one event loop."""
    with asyncio.Runner() as runner:
        opened = _table(setup)
        table = runner.run(opened.__aenter__())
        # Converted before the clock starts.
        _ = setup.rows
        yield lambda: runner.run(_put_all(table, setup))
        runner.run(opened.__aexit__(None, None, None))


@asynccontextmanager
async def _table(setup: RunSetup) -> AsyncIterator[Any]:
    async with ClientSession() as session:
        send = AIOHTTP(session)

        async def noted(request: Any) -> Any:
            setup.meter.record(request.headers["X-Amz-Target"].rpartition(".")[2], request.body)
            return await send(request)

        client = Client(
            noted,
            StaticCredentials(Key(ACCESS_KEY, SECRET_KEY)),
            setup.settings.region,
            endpoint=URL(setup.settings.endpoint),
        )
        table = client.table(setup.settings.table)
        try:
            await table.get_item({"pk": "none", "sk": "none"})
        except ItemNotFound:
            setup.meter.requests.clear()
        yield table


async def _put_all(table: Any, setup: RunSetup) -> Counts:
    rows = iter(setup.rows)
    absent = F("pk").does_not_exist()
    created: list[bool] = []

    async def put_next() -> None:
        for row in rows:
            try:
                await table.put_item(flat(row), condition=absent)
            except ConditionalCheckFailed:
                created.append(False)
            else:
                created.append(True)

    await asyncio.gather(*(put_next() for _ in range(_AT_A_TIME)))
    return Counts.of(created)
