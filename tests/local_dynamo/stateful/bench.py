"""One table with several clients, one clock for all of them, and a network that can go wrong."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from quill_models import Increment, Key, Settings, connect
from quill_models.dynamodb.attribute_values import from_attribute_value
from quill_models.dynamodb.shards import TABLE_SETTINGS
from quill_models.models import QuillModel
from quill_models.repositories.external_ids import from_claim
from quill_models.testing import FrozenClock
from quill_models.values.keys import DELIMITER
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.stateful.calls import MODELS, row_of
from tests.local_dynamo.stateful.plain import Rows, increment_identity
from tests.local_dynamo.support import HOUR, NOON, botocore_of, store

__all__ = ["RETENTION", "Bench", "open_bench"]

# Short, so that the same few steps of the clock let events and marks expire.
RETENTION = HOUR
# Few, as each one is a request of each sharded list; growing them is one of the steps.
SHARDS = 2

_CLAIM = "_external_id"
_MODELS = {model.KIND: (name, model) for name, model in MODELS.items()}
_INCREMENT = "increment"


class Between(Proxy):
    """A proxy that loses chosen answers and lets someone else act before a chosen request."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.calm()

    def lose_requests(
        self, lost: Sequence[bool], before: int = 0, act: Callable[[], None] | None = None
    ) -> None:
        """Disturb the requests from now on.

        Args:
            lost: for each request, whether its answer gets lost; the server has acted on it.
            before: the number of the request before which someone else acts, from 1.
            act: what they do then.
        """
        self._lost = list(lost)
        self._before = before
        self._act = act

    def calm(self) -> None:
        """Disturb nothing any more."""
        self.lose_requests([])

    def takes(self, operation: str) -> bool:
        """See `Proxy.takes`."""
        self._before -= 1
        if self._before == 0 and self._act is not None:
            self._act()
        return super().takes(operation)

    def loses(self, operation: str) -> bool:  # noqa: ARG002
        """See `Proxy.loses`."""
        return bool(self._lost) and self._lost.pop(0)


class Bench:
    """What a machine works with.

    Attributes:
        clock: everybody's.
        steady: a client whose requests and answers all arrive.
        flaky: one behind ``between``, which sends again what was not answered.
        hasty: one behind ``between``, which gives up at the first answer that does not come.
        between: what is between those two and the server.
    """

    def __init__(
        self, settings: Settings, clock: FrozenClock, between: Between, patch: pytest.MonkeyPatch
    ) -> None:
        self._patch = patch
        self.clock = clock
        self.between = between
        behind = replace(settings, endpoint=between.endpoint)
        self.steady = connect(settings, clock=clock)
        self.flaky = connect(behind, clock=clock)
        self.hasty = connect(replace(behind, deadline=timedelta(0)), clock=clock)
        self.clients = {"steady": self.steady, "flaky": self.flaky, "hasty": self.hasty}

    def restart(self) -> None:
        """As it was at first: nothing stored, noon, few shards."""
        self.between.calm()
        self.clock.move_to(NOON)
        self._delete(self._items())
        pk, sk = TABLE_SETTINGS
        store(self.steady, {"pk": {"S": pk}, "sk": {"S": sk}, "shards": {"N": str(SHARDS)}})
        for client in self.clients.values():
            # Learnt before the clock was set back.
            client._table._shards.invalidate()

    def chunk(self, number: int) -> None:
        """Bulk calls send so many items at a time from now on."""
        self._patch.setattr("quill_models.writes.bulk.TRANSACTION_ACTIONS", number)

    def sweep(self) -> None:
        """Delete what has expired, as the server does some time."""
        now = self.clock()
        self._delete([item for item in self._items() if _expired(item, now)])

    def state(self) -> dict[str, Rows]:
        """Everything in the table that has not expired, read past the package's queries."""
        state: dict[str, Rows] = {}
        now = self.clock()
        for item in self._items():
            if _expired(item, now):
                continue
            collection, identity, row = _decoded(item)
            rows = state.setdefault(collection, {})
            assert identity not in rows
            rows[identity] = row
        return state

    def _items(self) -> list[dict[str, Any]]:
        """All items but the table's own settings."""
        items: list[dict[str, Any]] = []
        pages = botocore_of(self.steady).get_paginator("scan")
        for page in pages.paginate(TableName=self.steady.settings.table, ConsistentRead=True):
            items.extend(page["Items"])
        return [item for item in items if item["pk"]["S"] != TABLE_SETTINGS.pk]

    def _delete(self, items: Sequence[dict[str, Any]]) -> None:
        requests = [
            {"DeleteRequest": {"Key": {"pk": item["pk"], "sk": item["sk"]}}} for item in items
        ]
        for at in range(0, len(requests), 25):
            botocore_of(self.steady).batch_write_item(
                RequestItems={self.steady.settings.table: requests[at : at + 25]}
            )


@contextmanager
def open_bench(endpoint: str) -> Iterator[Bench]:
    """A table of its own, and clients on it."""
    settings = Settings(
        endpoint=endpoint,
        table=f"quill-test-{secrets.token_hex(8)}",
        webhook_retention=RETENTION,
        increment_retention=RETENTION,
    )
    between = Between(endpoint)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # Waits between tries, which otherwise take longer than all the rest.
            patch.setattr("quill_models.dynamodb.backoff._FIRST_SECONDS", 0.001)
            bench = Bench(settings, FrozenClock(NOON), between, patch)
            # With one, its records would slow down every test that comes after.
            bench.steady.schema.apply(stream=False, ttl=False)
            yield bench
            bench.steady.schema.delete_table()
            for client in bench.clients.values():
                client.close()
    finally:
        between.close()


def _expired(item: dict[str, Any], now: datetime) -> bool:
    return "ttl" in item and int(item["ttl"]["N"]) <= now.timestamp()


def _decoded(item: dict[str, Any]) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Where an item belongs, under which identity, and what it says."""
    if "kind" not in item:
        return _store_item(item)
    kind = item["kind"]["S"]
    if kind.endswith(_CLAIM):
        name, model_type = _MODELS[kind.removesuffix(_CLAIM)]
        _, *claim = map(unquote, item["pk"]["S"].split(DELIMITER))
        return f"{name} by external id", tuple(claim), row_of(from_claim(model_type, item))
    if kind == _INCREMENT:
        increment = Increment.from_item(item)
        return "increments", increment_identity(row := row_of(increment)), row
    name, model_type = _MODELS[kind]
    model: QuillModel = model_type.from_item(item)
    return name, tuple(getattr(model, field) for field in model.IDENTITY), row_of(model)


def _store_item(item: dict[str, Any]) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    key = Key(item["pk"]["S"], item["sk"]["S"])
    said = {
        name: from_attribute_value(value)
        for name, value in item.items()
        if name not in {"pk", "sk", "ttl", "write_token"}
    }
    expires = datetime.fromtimestamp(int(item["ttl"]["N"]), NOON.tzinfo) if "ttl" in item else None
    return "store", tuple(key), {"pk": key.pk, "sk": key.sk, "item": said, "ttl": expires}
