"""One table with several clients, a shared clock and a proxy that loses chosen responses."""

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
from tests.local_dynamo.stateful.model import Rows, increment_identity
from tests.local_dynamo.support import HOUR, NOON, botocore_of, store

__all__ = ["RETENTION", "SHARDS", "Environment", "open_environment"]

# Short, so that a few steps of the clock expire events and marks.
RETENTION = HOUR
# Few, because a sharded list needs one request a shard. Growing the shards is a rule.
SHARDS = 2

_CLAIM = "_external_id"
_MODELS = {model.KIND: (name, model) for name, model in MODELS.items()}
_INCREMENT = "increment"


class ScriptedProxy(Proxy):
    """A proxy that loses chosen responses and runs a callback before a chosen request."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.reset()

    def script(
        self, lost: Sequence[bool], before: int = 0, act: Callable[[], None] | None = None
    ) -> None:
        """Choose the faults of the next requests.

        Args:
            lost: For each request, whether its response is lost. The server executes the request.
            before: The number of the request before which ``act`` runs, from 1. 0 for no request.
            act: The callback, such as a call by another client.
        """
        self._lost = list(lost)
        self._before = before
        self._act = act

    def reset(self) -> None:
        """Pass all further requests and responses."""
        self.script([])

    def forwards(self, operation: str) -> bool:
        """See `Proxy.forwards`."""
        self._before -= 1
        if self._before == 0 and self._act is not None:
            self._act()
        return super().forwards(operation)

    def loses(self, operation: str) -> bool:  # noqa: ARG002
        """See `Proxy.loses`."""
        return bool(self._lost) and self._lost.pop(0)


class Environment:
    """The table, clients and clock of a machine.

    Attributes:
        clock: The clock of all clients.
        proxy: The proxy between some clients and the server.
        direct: A client without the proxy.
        retrying: A client behind the proxy, which retries lost responses.
        no_retry: A client behind the proxy, which raises at the first lost response.
    """

    def __init__(
        self,
        settings: Settings,
        clock: FrozenClock,
        proxy: ScriptedProxy,
        patch: pytest.MonkeyPatch,
    ) -> None:
        self._patch = patch
        self.clock = clock
        self.proxy = proxy
        behind = replace(settings, endpoint=proxy.endpoint)
        self.direct = connect(settings, clock=clock)
        self.retrying = connect(behind, clock=clock)
        self.no_retry = connect(replace(behind, deadline=timedelta(0)), clock=clock)
        self.clients = {
            "direct": self.direct,
            "retrying": self.retrying,
            "no_retry": self.no_retry,
        }

    def restart(self) -> None:
        """Restore the first state: no items, noon, few shards."""
        self.proxy.reset()
        self.clock.move_to(NOON)
        self._delete(self._items())
        pk, sk = TABLE_SETTINGS
        store(self.direct, {"pk": {"S": pk}, "sk": {"S": sk}, "shards": {"N": str(SHARDS)}})
        for client in self.clients.values():
            # The cached number of shards is from a later time than the clock's.
            client._table._shards.invalidate()

    def set_chunk_size(self, number: int) -> None:
        """Set the number of items that a bulk call sends in one transaction."""
        self._patch.setattr("quill_models.writes.bulk.TRANSACTION_ACTIONS", number)

    def delete_expired(self) -> None:
        """Delete expired items, as the server's TTL does."""
        now = self.clock()
        self._delete([item for item in self._items() if _expired(item, now)])

    def state(self) -> dict[str, Rows]:
        """Return all unexpired items, read without the package's queries."""
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
        """Return all items except the table's settings."""
        items: list[dict[str, Any]] = []
        pages = botocore_of(self.direct).get_paginator("scan")
        for page in pages.paginate(TableName=self.direct.settings.table, ConsistentRead=True):
            items.extend(page["Items"])
        return [item for item in items if item["pk"]["S"] != TABLE_SETTINGS.pk]

    def _delete(self, items: Sequence[dict[str, Any]]) -> None:
        requests = [
            {"DeleteRequest": {"Key": {"pk": item["pk"], "sk": item["sk"]}}} for item in items
        ]
        for at in range(0, len(requests), 25):
            botocore_of(self.direct).batch_write_item(
                RequestItems={self.direct.settings.table: requests[at : at + 25]}
            )


@contextmanager
def open_environment(endpoint: str) -> Iterator[Environment]:
    """Create a table and its clients."""
    settings = Settings(
        endpoint=endpoint,
        table=f"quill-test-{secrets.token_hex(8)}",
        webhook_retention=RETENTION,
        increment_retention=RETENTION,
    )
    proxy = ScriptedProxy(endpoint)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # The backoff would otherwise take longer than everything else.
            patch.setattr("quill_models.dynamodb.backoff._FIRST_SECONDS", 0.001)
            environment = Environment(settings, FrozenClock(NOON), proxy, patch)
            # The records of a stream would slow down all later tests.
            environment.direct.schema.apply(stream=False, ttl=False)
            yield environment
            environment.direct.schema.delete_table()
            for client in environment.clients.values():
                client.close()
    finally:
        proxy.close()


def _expired(item: dict[str, Any], now: datetime) -> bool:
    return "ttl" in item and int(item["ttl"]["N"]) <= now.timestamp()


def _decoded(item: dict[str, Any]) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Return the collection, identity and fields of an item."""
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
    fields = {
        name: from_attribute_value(value)
        for name, value in item.items()
        if name not in {"pk", "sk", "ttl", "write_token"}
    }
    expires = datetime.fromtimestamp(int(item["ttl"]["N"]), NOON.tzinfo) if "ttl" in item else None
    return "store", tuple(key), {"pk": key.pk, "sk": key.sk, "item": fields, "ttl": expires}
