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
from importlib.metadata import version
from typing import NamedTuple
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from quill_models.telemetry.operations import Operation, Request
from quill_models.telemetry.records import REFUSALS, RequestTry, Retry

__all__ = ["OpenTelemetry"]

_VERSION = version("quill-models")
_Attributes = dict[str, AttributeValue]

_REQUESTS, _CALLS = "db.client.operation.duration", "quill.operation.duration"
_HISTOGRAMS = {
    _REQUESTS: "Duration of database client operations.",
    _CALLS: "Duration of calls of quill_models, with all their requests.",
}
# Recommended by the conventions for database calls.
_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
_COUNTERS = {
    "quill.requests": ("{request}", "Requests on the wire, each try."),
    "quill.retries": ("{retry}", "What was tried again, and why."),
    "quill.read_units": ("{unit}", "Read units that DynamoDB counted."),
    "quill.write_units": ("{unit}", "Write units that DynamoDB counted."),
    "quill.outcomes": ("{item}", "What writes did: created, duplicate, …"),
}
_TOTALS = ("requests", "retries", "read_units", "write_units")
_PORTS = {"http": 80, "https": 443}


class _Begun(NamedTuple):
    """A span, and when it began by the monotonic clock."""

    span: Span
    at: float


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
        self._histograms = {
            name: meter.create_histogram(
                name,
                unit="s",
                description=description,
                explicit_bucket_boundaries_advisory=_BUCKETS_SECONDS,
            )
            for name, description in _HISTOGRAMS.items()
        }
        self._counters = {
            name: meter.create_counter(name, unit=unit, description=description)
            for name, (unit, description) in _COUNTERS.items()
        }

    def begin(self, doing: Operation | Request) -> _Begun:
        """See `Telemetry.begin`."""
        if isinstance(doing, Operation):
            name, kind, attributes = doing.name, SpanKind.INTERNAL, _of_operation(doing)
        else:
            name, kind = f"DynamoDB.{doing.api_name}", SpanKind.CLIENT
            place = {
                "aws.dynamodb.index_name": doing.parameters.get("IndexName"),
                "quill.operation": None if doing.operation is None else doing.operation.name,
            }
            attributes = {**_of_request(doing), **_known(place)}
        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        return _Begun(span, time.perf_counter())

    def enter(self, doing: Operation | Request) -> Token[Context]:
        """See `Telemetry.enter`."""
        return otel_context.attach(trace.set_span_in_context(doing.span.span))

    def leave(self, entered: Token[Context]) -> None:
        """See `Telemetry.leave`."""
        otel_context.detach(entered)

    def end(self, doing: Operation | Request, error: BaseException | None) -> None:
        """See `Telemetry.end`."""
        span, seconds = doing.span.span, time.perf_counter() - doing.span.at
        failed = None if error is None else type(error).__name__
        if isinstance(doing, Operation):
            histogram, attributes, found = _CALLS, _of_operation(doing), {}
            for total in _TOTALS:
                found[f"quill.{total}"] = getattr(doing, total)
            for outcome, number in doing.outcomes.items():
                found[f"quill.outcomes.{outcome}"] = number
                named = {**attributes, "quill.outcome": outcome}
                self._counters["quill.outcomes"].add(number, named)
        else:
            histogram, attributes, found = _REQUESTS, _of_request(doing), _of_response(doing)
            if doing.last is not None:
                attributes |= _known({"db.response.status_code": _code(doing.last)})
                if failed is not None and doing.last.error is not None:
                    failed = None if doing.last.error in REFUSALS else doing.last.error
        if failed is not None:
            # Without the error's message, which may hold any data of the user's own code.
            attributes["error.type"] = failed
            span.set_status(Status(StatusCode.ERROR))
        self._histograms[histogram].record(seconds, attributes)
        span.set_attributes({**attributes, **found})
        span.end()

    def tried(self, request: RequestTry) -> None:
        """See `Telemetry.tried`."""
        attributes = _of_place(request)
        failed = None if request.error in REFUSALS else request.error
        codes = _known({"db.response.status_code": _code(request), "error.type": failed})
        self._counters["quill.requests"].add(1, {**attributes, **codes})
        if request.read_units:
            self._counters["quill.read_units"].add(request.read_units, attributes)
        if request.write_units:
            self._counters["quill.write_units"].add(request.write_units, attributes)

    def retry(self, retry: Retry, of: Operation | Request) -> None:
        """See `Telemetry.retry`."""
        reason: _Attributes = {"quill.retry.reason": retry.reason}
        of.span.span.add_event("quill.retry", {**reason, "quill.retry.wait": retry.wait_ms / 1000})
        self._counters["quill.retries"].add(1, {**reason, **_of_place(retry)})


def _known(attributes: Mapping[str, AttributeValue | None]) -> _Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def _code(request: RequestTry) -> str | None:
    """The error code of a response."""
    return None if request.http_status is None else request.error


def _of_place(place: RequestTry | Retry) -> _Attributes:
    return _known(
        {
            "db.operation.name": place.request,
            "db.collection.name": place.table,
            "quill.operation": place.operation,
        }
    )


def _of_operation(operation: Operation) -> _Attributes:
    return {"quill.operation": operation.name, "db.collection.name": operation.table}


def _of_request(request: Request) -> _Attributes:
    """What is known of a request before it is sent."""
    address = urlsplit(request.url or "")
    is_usual = address.port == _PORTS.get(address.scheme)
    return _known(
        {
            "db.system.name": "aws.dynamodb",
            "db.operation.name": request.api_name,
            "db.collection.name": request.table,
            "server.address": address.hostname,
            "server.port": None if is_usual else address.port,
        }
    )


def _of_response(request: Request) -> _Attributes:
    """What the last response to a request says."""
    last = request.last
    if last is None:
        return {}
    is_batch = last.is_write and (last.items or 0) > 1
    return _known(
        {
            "aws.dynamodb.table_names": None if last.table is None else [last.table],
            "aws.dynamodb.consumed_capacity": [json.dumps(each) for each in request.consumed]
            or None,
            "aws.request_id": last.request_id,
            "db.operation.batch.size": last.items if is_batch else None,
            "db.response.returned_rows": None if last.is_write else last.items,
            "quill.tries": last.try_number if last.try_number > 1 else None,
        }
    )
