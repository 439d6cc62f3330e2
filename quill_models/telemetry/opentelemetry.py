"""OpenTelemetry: spans and metrics of what a `Quill` does. Needs the extra ``otel``.

.. code-block:: python

    quill = connect(telemetry=OpenTelemetry())

The names follow OpenTelemetry's conventions for database clients and for DynamoDB; names of this
package begin with ``quill.``.
https://opentelemetry.io/docs/specs/semconv/database/dynamodb/
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextvars import Token
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from quill_models.telemetry.operations import Operation, Request
from quill_models.telemetry.records import REFUSALS, WRITES, RequestTry, Retry

__all__ = ["OpenTelemetry"]

_VERSION = version("quill-models")
_Attributes = dict[str, AttributeValue]

# Recommended by the conventions for database calls.
_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
_TOTALS = ("requests", "retries", "read_units", "write_units")
_PORTS = {"http": 80, "https": 443}


class OpenTelemetry:
    """Spans and metrics of each operation and each request, for ``connect(telemetry=…)``.

    One may be given to several connections. It uses the API alone: without an SDK that is set up,
    nothing is recorded.

    Args:
        tracer_provider: By default the global one.
        meter_provider: By default the global one.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("quill_models", _VERSION, tracer_provider)
        meter = metrics.get_meter("quill_models", _VERSION, meter_provider)
        duration = partial(
            meter.create_histogram, unit="s", explicit_bucket_boundaries_advisory=_BUCKETS_SECONDS
        )
        what = "Duration of database client operations."
        self._of_requests = duration("db.client.operation.duration", description=what)
        what = "Duration of calls of quill_models, with all their requests."
        self._of_operations = duration("quill.operation.duration", description=what)
        counter = meter.create_counter
        self._requests = counter("quill.requests", "{request}", "Requests on the wire, each try.")
        self._retries = counter("quill.retries", "{retry}", "What was tried again, and why.")
        what = "units that DynamoDB counted."
        self._read_units = counter("quill.read_units", "{unit}", f"Read {what}")
        self._write_units = counter("quill.write_units", "{unit}", f"Write {what}")
        what = "What writes did: created, duplicate, …"
        self._outcomes = counter("quill.outcomes", "{item}", what)

    def begin(self, doing: Operation | Request) -> Span:
        """See `Telemetry.begin`."""
        attributes = _attributes(doing)
        if isinstance(doing, Operation):
            return self._tracer.start_span(doing.name, attributes=attributes)
        operation = None if doing.operation is None else doing.operation.name
        index = doing.parameters.get("IndexName")
        attributes |= _known({"aws.dynamodb.index_name": index, "quill.operation": operation})
        name = f"DynamoDB.{doing.api_name}"
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    def enter(self, doing: Operation | Request) -> Token[Context]:
        """See `Telemetry.enter`."""
        return otel_context.attach(trace.set_span_in_context(doing.span))

    def leave(self, entered: Token[Context]) -> None:
        """See `Telemetry.leave`."""
        otel_context.detach(entered)

    def end(self, doing: Operation | Request, error: BaseException | None) -> None:
        """See `Telemetry.end`."""
        seconds, attributes = time.perf_counter() - doing.began, _attributes(doing)
        failed: AttributeValue | None = None if error is None else type(error).__name__
        duration, found = self._of_requests, _Attributes()
        if isinstance(doing, Operation):
            duration = self._of_operations
            found = {f"quill.{total}": getattr(doing, total) for total in _TOTALS}
            for outcome, number in doing.outcomes.items():
                found[f"quill.outcomes.{outcome}"] = number
                self._outcomes.add(number, {**attributes, "quill.outcome": outcome})
        elif doing.last is not None:
            found = _of_response(doing.last, doing.consumed)
            if doing.last.error is not None:
                attributes |= _of_error(doing.last)
                failed = attributes.get("error.type")
        if failed is not None:
            # Without the error's message, which may hold any data of the user's own code.
            attributes["error.type"] = failed
            doing.span.set_status(Status(StatusCode.ERROR))
        duration.record(seconds, attributes)
        doing.span.set_attributes({**attributes, **found})
        doing.span.end()

    def tried(self, request: RequestTry) -> None:
        """See `Telemetry.tried`."""
        place = _of_place(request)
        self._requests.add(1, {**place, **_of_error(request)})
        if request.read_units:
            self._read_units.add(request.read_units, place)
        if request.write_units:
            self._write_units.add(request.write_units, place)

    def retry(self, retry: Retry, of: Operation | Request) -> None:
        """See `Telemetry.retry`."""
        reason: _Attributes = {"quill.retry.reason": retry.reason}
        of.span.add_event("quill.retry", {**reason, "quill.retry.wait": retry.wait_ms / 1000})
        self._retries.add(1, {**reason, **_of_place(retry)})


def _known(attributes: Mapping[str, AttributeValue | None]) -> _Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def _of_place(place: RequestTry | Retry) -> _Attributes:
    return _known(
        {
            "db.operation.name": place.request,
            "db.collection.name": place.table,
            "quill.operation": place.operation,
        }
    )


def _attributes(doing: Operation | Request) -> _Attributes:
    """What is known of an operation or a request before it is done."""
    if isinstance(doing, Operation):
        return {"quill.operation": doing.name, "db.collection.name": doing.table}
    address = urlsplit(doing.url or "")
    is_usual = address.port == _PORTS.get(address.scheme)
    return _known(
        {
            "db.system.name": "aws.dynamodb",
            "db.operation.name": doing.api_name,
            "db.collection.name": doing.table,
            "server.address": address.hostname,
            "server.port": None if is_usual else address.port,
        }
    )


def _of_error(request: RequestTry) -> _Attributes:
    """The code of a response, and the error: a refused condition is none."""
    return _known(
        {
            "db.response.status_code": None if request.http_status is None else request.error,
            "error.type": None if request.error in REFUSALS else request.error,
        }
    )


def _of_response(last: RequestTry, consumed: list[dict[str, Any]]) -> _Attributes:
    """What the last response to a request says."""
    is_write = last.request in WRITES
    is_batch = is_write and (last.items or 0) > 1
    return _known(
        {
            "aws.dynamodb.table_names": None if last.table is None else [last.table],
            "aws.dynamodb.consumed_capacity": [json.dumps(each) for each in consumed] or None,
            "aws.request_id": last.request_id,
            "db.operation.batch.size": last.items if is_batch else None,
            "db.response.returned_rows": None if is_write else last.items,
            "quill.tries": last.try_number if last.try_number > 1 else None,
        }
    )
