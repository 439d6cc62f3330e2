"""OpenTelemetry: spans and metrics of what a `Quill` does. Needs the extra ``otel``.

.. code-block:: python

    quill = connect(telemetry=OpenTelemetry())

The names follow OpenTelemetry's conventions for database clients and for DynamoDB where these have
one; what is this package's own begins with ``quill.``.
https://opentelemetry.io/docs/specs/semconv/database/dynamodb/
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextvars import Token
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from quill_models.telemetry.operations import Call, Operation
from quill_models.telemetry.records import REFUSALS, Retry, WireRequest

__all__ = ["OpenTelemetry"]

_VERSION = version("quill-models")
_Attributes = dict[str, AttributeValue]

# What the conventions recommend for database calls.
_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class _Begun:
    """A span, and when it began by a clock that nobody sets."""

    span: Span
    at: float


class OpenTelemetry:
    """Spans and metrics of each operation and each request, for ``connect(telemetry=…)``.

    One may be given to several connections. It uses the API alone: without an SDK that is set up,
    nothing is recorded.

    Args:
        tracer_provider: by default the global one.
        meter_provider: by default the global one.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("quill_models", _VERSION, tracer_provider)
        meter = metrics.get_meter("quill_models", _VERSION, meter_provider)
        self._call_seconds = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=_BUCKETS_SECONDS,
        )
        self._operation_seconds = meter.create_histogram(
            "quill.operation.duration",
            unit="s",
            description="Duration of calls of quill_models, with all their requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS_SECONDS,
        )
        self._requests = meter.create_counter(
            "quill.requests", unit="{request}", description="Requests on the wire, each try."
        )
        self._retries = meter.create_counter(
            "quill.retries", unit="{retry}", description="What was tried again, and why."
        )
        self._read_units = meter.create_counter(
            "quill.read_units", unit="{unit}", description="Read units that DynamoDB counted."
        )
        self._write_units = meter.create_counter(
            "quill.write_units", unit="{unit}", description="Write units that DynamoDB counted."
        )
        self._outcomes = meter.create_counter(
            "quill.outcomes", unit="{item}", description="What writes did: created, duplicate, …"
        )

    # Spans.

    def begin(self, doing: Operation | Call) -> _Begun:
        """See `Telemetry.begin`."""
        if isinstance(doing, Operation):
            span = self._tracer.start_span(
                doing.name, kind=SpanKind.INTERNAL, attributes=_of_operation(doing)
            )
        else:
            attributes = _of_call(doing)
            index = doing.parameters.get("IndexName")
            if index is not None:
                attributes["aws.dynamodb.index_name"] = str(index)
            if doing.operation is not None:
                attributes["quill.operation"] = doing.operation.name
            span = self._tracer.start_span(
                f"DynamoDB.{doing.request}", kind=SpanKind.CLIENT, attributes=attributes
            )
        return _Begun(span, time.perf_counter())

    def enter(self, doing: Operation | Call) -> Token[Context]:
        """See `Telemetry.enter`."""
        return otel_context.attach(trace.set_span_in_context(doing.span.span))

    def leave(self, entered: Token[Context]) -> None:
        """See `Telemetry.leave`."""
        otel_context.detach(entered)

    def end(self, doing: Operation | Call, error: BaseException | None) -> None:
        """See `Telemetry.end`."""
        begun: _Begun = doing.span
        seconds = time.perf_counter() - begun.at
        if isinstance(doing, Operation):
            failed = None if error is None else type(error).__name__
            self._end_operation(doing, begun.span, seconds, failed)
        else:
            self._end_call(doing, begun.span, seconds, error)
        begun.span.end()

    def _end_operation(
        self, operation: Operation, span: Span, seconds: float, failed: str | None
    ) -> None:
        attributes = _of_operation(operation)
        for outcome, number in operation.outcomes.items():
            self._outcomes.add(number, {**attributes, "quill.outcome": outcome})
        _fail(span, attributes, failed)
        self._operation_seconds.record(seconds, attributes)
        if span.is_recording():
            span.set_attributes(
                {
                    "quill.requests": operation.requests,
                    "quill.retries": operation.retries,
                    "quill.read_units": operation.read_units,
                    "quill.write_units": operation.write_units,
                    **{f"quill.outcomes.{name}": n for name, n in operation.outcomes.items()},
                }
            )

    def _end_call(
        self, call: Call, span: Span, seconds: float, error: BaseException | None
    ) -> None:
        last, attributes = call.last, _of_call(call)
        code = None if last is None else last.error
        if code is not None and last is not None and last.http_status is not None:
            attributes["db.response.status_code"] = code
        failed = None
        if error is not None and code not in REFUSALS:
            failed = code or type(error).__name__
        _fail(span, attributes, failed)
        self._call_seconds.record(seconds, attributes)
        if span.is_recording() and last is not None:
            span.set_attributes(dict(_of_answer(last)))
            if call.consumed:
                texts = [json.dumps(each) for each in call.consumed]
                span.set_attribute("aws.dynamodb.consumed_capacity", texts)

    # What happens in between.

    def request(self, request: WireRequest) -> None:
        """See `Telemetry.request`."""
        attributes = _of_request(request)
        self._requests.add(1, {**attributes, **_of_error(request)})
        if request.read_units:
            self._read_units.add(request.read_units, attributes)
        if request.write_units:
            self._write_units.add(request.write_units, attributes)

    def retry(self, retry: Retry, of: Operation | Call) -> None:
        """See `Telemetry.retry`."""
        attributes: _Attributes = {"quill.retry.reason": retry.reason}
        of.span.span.add_event(
            "quill.retry", {**attributes, "quill.retry.wait": retry.wait_ms / 1000}
        )
        if retry.operation is not None:
            attributes["quill.operation"] = retry.operation
        if retry.table is not None:
            attributes["db.collection.name"] = retry.table
        if retry.request is not None:
            attributes["db.operation.name"] = retry.request
        self._retries.add(1, attributes)


def _fail(span: Span, attributes: _Attributes, failed: str | None) -> None:
    """Without the error's message, which may hold what the user's own code put into it."""
    if failed is not None:
        attributes["error.type"] = failed
        span.set_status(Status(StatusCode.ERROR))
    span.set_attributes(attributes)


def _of_operation(operation: Operation) -> _Attributes:
    return {"quill.operation": operation.name, "db.collection.name": operation.table}


def _of_call(call: Call) -> _Attributes:
    """What is known of a call before it is sent."""
    attributes: _Attributes = {"db.system.name": "aws.dynamodb", "db.operation.name": call.request}
    table = call.table
    if table is not None:
        attributes["db.collection.name"] = table
    if call.url is not None:
        address = urlsplit(call.url)
        attributes["server.address"] = address.hostname or ""
        if address.port not in {None, _PORTS.get(address.scheme)}:
            attributes["server.port"] = address.port or 0
    return attributes


def _of_request(request: WireRequest) -> _Attributes:
    attributes: _Attributes = {"db.operation.name": request.request}
    if request.table is not None:
        attributes["db.collection.name"] = request.table
    if request.operation is not None:
        attributes["quill.operation"] = request.operation
    return attributes


def _of_error(request: WireRequest) -> _Attributes:
    if request.error is None:
        return {}
    attributes: _Attributes = {}
    if request.http_status is not None:
        attributes["db.response.status_code"] = request.error
    if not request.is_refused:
        attributes["error.type"] = request.error
    return attributes


def _of_answer(last: WireRequest) -> Iterator[tuple[str, AttributeValue]]:
    """What the last answer of a call says."""
    if last.table is not None:
        yield "aws.dynamodb.table_names", [last.table]
    if last.request_id is not None:
        yield "aws.request_id", last.request_id
    if last.items is not None:
        if last.is_write:
            if last.items > 1:
                yield "db.operation.batch.size", last.items
        else:
            yield "db.response.returned_rows", last.items
    if last.try_number > 1:
        yield "quill.tries", last.try_number
