"""CPU time of calls whose requests are answered at once: ``python benchmarks/observe/work.py off``.

Run as a file, so that ``PYTHONPATH`` may name another checkout of the package to be measured. No
server and no socket: requests are signed and responses read as ever, with a response in place of
the network. So all of the time is the client's, and what watching adds is a larger part of it than
where requests travel. Prints one JSON document: the least microseconds of CPU for a record, by
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


class _Answers:
    """Stands where the network would be."""

    def __init__(self, quill: Quill) -> None:
        self.answer = b"{}"
        client: Any = quill.table.client.botocore
        client._endpoint.http_session.send = self._send  # noqa: SLF001 -- no event covers all

    def _send(self, _request: object) -> AWSResponse:
        headers: Any = {
            "Content-Type": "application/x-amz-json-1.0",
            "Content-Length": str(len(self.answer)),
            "x-amzn-RequestId": "4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG",
        }
        return AWSResponse("http://localhost", 200, headers, _Body(self.answer))


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
        # Lines are made, as for a file, and not written.
        logger.addHandler(logging.StreamHandler(_Nowhere()))
        logger.propagate = False
    if mode not in {"otel", "otel-api"}:
        return connect(settings)
    from quill_models.telemetry import OpenTelemetry  # noqa: PLC0415 -- in its case only

    if mode == "otel-api":
        return connect(settings, telemetry=OpenTelemetry())
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 -- as above
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415 -- as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- as above

    return connect(
        settings,
        telemetry=OpenTelemetry(TracerProvider(), MeterProvider([InMemoryMetricReader()])),
    )


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Nothing is kept."""


class _Works:
    """What is measured: each with the answer to its requests, and how many records it is."""

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
        # One page: what threads do to each other is not to be measured.
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
    """Measure and print."""
    quill = _quill(mode)
    answers, works = _Answers(quill), _Works(quill)
    least: dict[str, float] = {}
    for _ in range(REPEATS):
        for name, (work, answer, records) in works.all.items():
            works.events = [_event() for _ in range(BULK)]
            answers.answer = answer
            gc.collect()
            began = time.process_time()
            work()
            spent = (time.process_time() - began) / records * 1e6
            # What disturbs a run only makes it longer.
            least[name] = min(spent, least.get(name, spent))
    print(json.dumps(least))


if __name__ == "__main__":
    main(sys.argv[1])
