"""CPU time of calls with fixed responses: ``python benchmarks/observe/work.py off``.

It runs as a file, so that ``PYTHONPATH`` can name another checkout of the package. There is no
server and no socket: requests are signed and responses are parsed as usual, but a fixed response
replaces the network. So all of the time is the client's, and telemetry is a larger part of it than
with a server. It prints one JSON document: the minimum CPU time per record in microseconds, by
workload.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from typing import Any

from botocore.awsrequest import AWSResponse

from quill_models import Interaction, Key, Quill, Settings, WebhookEvent, connect

NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
SINGLE, BULK, PAGE = 100, 1_000, 1_000
REPEATS = 20

_numbers = count()


class _Body(BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.getvalue()


class _FakeNetwork:
    """A fixed response in place of the network."""

    def __init__(self, quill: Quill) -> None:
        self.response = b"{}"
        client: Any = quill.table.client.botocore
        client._endpoint.http_session.send = self._send  # noqa: SLF001 -- no event covers all

    def _send(self, _request: object) -> AWSResponse:
        headers: Any = {
            "Content-Type": "application/x-amz-json-1.0",
            "Content-Length": str(len(self.response)),
            "x-amzn-RequestId": "4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG",
        }
        return AWSResponse("http://localhost", 200, headers, _Body(self.response))


def _event() -> WebhookEvent:
    number = next(_numbers)
    return WebhookEvent(
        source="hubspot",
        event_key=f"e{number}",
        event_type="contact.propertyChange",
        object_type="contact",
        object_id=str(number % 100),
        occurred_at=NOON,
        received_at=NOON,
        payload={"eventId": number, "propertyName": "lifecyclestage", "propertyValue": "lead"},
    )


def _quill(mode: str) -> Quill:
    settings = Settings(table="benchmark")
    if mode == "debug":
        logger = logging.getLogger("quill_models")
        logger.setLevel(logging.DEBUG)
        # Lines are formatted as for a file, but not written.
        logger.addHandler(logging.StreamHandler(_NullStream()))
        logger.propagate = False
    if mode not in {"otel", "otel-api"}:
        return connect(settings)
    from quill_models.telemetry import OpenTelemetry  # noqa: PLC0415 -- needed in these modes only

    if mode == "otel-api":
        return connect(settings, telemetry=OpenTelemetry())
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 -- as above
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415 -- as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- as above

    return connect(
        settings,
        telemetry=OpenTelemetry(TracerProvider(), MeterProvider([InMemoryMetricReader()])),
    )


class _NullStream:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Do nothing."""


class _Workloads:
    """The measured workloads, each with the response to its requests and its number of records."""

    def __init__(self, quill: Quill) -> None:
        self._quill = quill
        self.events: list[WebhookEvent] = []
        one = b'{"ConsumedCapacity":{"TableName":"benchmark","CapacityUnits":4.0}}'
        many = b'{"ConsumedCapacity":[{"TableName":"benchmark","CapacityUnits":800.0}]}'
        stored = b'{"Item":{"pk":{"S":"a"},"sk":{"S":"b"},"x":{"S":"y"}}}'
        self.all: dict[str, tuple[Callable[[], None], bytes, int]] = {
            "record": (self._record, one, SINGLE),
            "get": (self._get, stored, SINGLE),
            "record_many": (self._record_many, many, BULK),
            "iter_record_many": (self._iter_record_many, many, BULK),
            "list_by_agent": (self._read, _page(), PAGE),
        }

    def _record(self) -> None:
        for event in self.events[:SINGLE]:
            self._quill.webhook_events.record(event)

    def _get(self) -> None:
        for _ in range(SINGLE):
            self._quill.store.get(Key("a", "b"))

    def _record_many(self) -> None:
        self._quill.webhook_events.record_many(self.events)

    def _iter_record_many(self) -> None:
        for _ in self._quill.webhook_events.iter_record_many(self.events):
            pass

    def _read(self) -> None:
        # One page only, so that no second thread fetches the next one.
        for _ in self._quill.interactions.list_by_agent("ada"):
            pass


def _page() -> bytes:
    items = [
        Interaction(
            interaction_id=f"i{number}",
            agent_id="ada",
            channel="call",
            started_at=NOON + timedelta(seconds=number),
        ).to_item(4)
        for number in range(PAGE)
    ]
    page = {"Items": items, "Count": PAGE, "ScannedCount": PAGE}
    return json.dumps(page).encode()


def main(mode: str) -> None:
    """Measure all workloads and print the result."""
    quill = _quill(mode)
    network, workloads = _FakeNetwork(quill), _Workloads(quill)
    minimum: dict[str, float] = {}
    for _ in range(REPEATS):
        for name, (work, response, records) in workloads.all.items():
            workloads.events = [_event() for _ in range(BULK)]
            network.response = response
            gc.collect()
            started = time.process_time()
            work()
            spent = (time.process_time() - started) / records * 1e6
            # Other processes only make a run longer, so the minimum is the best estimate.
            minimum[name] = min(spent, minimum.get(name, spent))
    print(json.dumps(minimum))


if __name__ == "__main__":
    main(sys.argv[1])
