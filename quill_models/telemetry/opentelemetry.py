"""OpenTelemetry spans and metrics of a `Quill`. Needs the extra ``otel``.

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
from quill_models.telemetry.records import FAILED_CONDITIONS, WRITES, RequestTry, Retry

__all__ = ["OpenTelemetry"]

_VERSION = version("quill-models")
_Attributes = dict[str, AttributeValue]

# Recommended by the conventions for database calls.
_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
_TOTALS = ("requests", "retries", "read_units", "write_units")
_PORTS = {"http": 80, "https": 443}


class OpenTelemetry:
    """Spans and metrics of each operation and each request, for ``connect(telemetry=…)``.

    Several connections can share one object. It uses only the OpenTelemetry API, so it records
    nothing unless the application configures an SDK.

    Args:
        tracer_provider: Provider of the tracer. The global one by default.
        meter_provider: Provider of the meter. The global one by default.
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
        text = "Duration of database client operations."
        self._request_duration = duration("db.client.operation.duration", description=text)
        text = "Duration of calls of quill_models, with all their requests."
        self._operation_duration = duration("quill.operation.duration", description=text)
        counter = meter.create_counter
        self._requests = counter("quill.requests", "{request}", "Requests, with each try.")
        self._retries = counter("quill.retries", "{retry}", "Retries by their reason.")
        self._read_units = counter("quill.read_units", "{unit}", "Consumed read units.")
        self._write_units = counter("quill.write_units", "{unit}", "Consumed write units.")
        self._outcomes = counter("quill.outcomes", "{item}", "Writes by their outcome.")

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
        duration, found = self._request_duration, _Attributes()
        if isinstance(doing, Operation):
            duration = self._operation_duration
            found = {f"quill.{total}": getattr(doing, total) for total in _TOTALS}
            for outcome, number in doing.outcomes.items():
                found[f"quill.outcomes.{outcome}"] = number
                self._outcomes.add(number, {**attributes, "quill.outcome": outcome})
        elif doing.last is not None:
            found = _response_attributes(doing.last, doing.consumed)
            if doing.last.error is not None:
                attributes |= _error_attributes(doing.last)
                failed = attributes.get("error.type")
        if failed is not None:
            # Without the message of the error, which may contain user data.
            attributes["error.type"] = failed
            doing.span.set_status(Status(StatusCode.ERROR))
        duration.record(seconds, attributes)
        doing.span.set_attributes({**attributes, **found})
        doing.span.end()

    def tried(self, request: RequestTry) -> None:
        """See `Telemetry.tried`."""
        target = _target_attributes(request)
        self._requests.add(1, {**target, **_error_attributes(request)})
        if request.read_units:
            self._read_units.add(request.read_units, target)
        if request.write_units:
            self._write_units.add(request.write_units, target)

    def retry(self, retry: Retry, of: Operation | Request) -> None:
        """See `Telemetry.retry`."""
        reason: _Attributes = {"quill.retry.reason": retry.reason}
        of.span.add_event("quill.retry", {**reason, "quill.retry.wait": retry.wait_ms / 1000})
        self._retries.add(1, {**reason, **_target_attributes(retry)})


def _known(attributes: Mapping[str, AttributeValue | None]) -> _Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def _target_attributes(record: RequestTry | Retry) -> _Attributes:
    return _known(
        {
            "db.operation.name": record.request,
            "db.collection.name": record.table,
            "quill.operation": record.operation,
        }
    )


def _attributes(doing: Operation | Request) -> _Attributes:
    """Return the attributes of an operation or a request that are known before its end."""
    if isinstance(doing, Operation):
        return {"quill.operation": doing.name, "db.collection.name": doing.table}
    address = urlsplit(doing.url or "")
    is_default = address.port == _PORTS.get(address.scheme)
    return _known(
        {
            "db.system.name": "aws.dynamodb",
            "db.operation.name": doing.api_name,
            "db.collection.name": doing.table,
            "server.address": address.hostname,
            "server.port": None if is_default else address.port,
        }
    )


def _error_attributes(request: RequestTry) -> _Attributes:
    """Return the code of a response and the error. A failed condition is not an error."""
    return _known(
        {
            "db.response.status_code": None if request.http_status is None else request.error,
            "error.type": None if request.error in FAILED_CONDITIONS else request.error,
        }
    )


def _response_attributes(last: RequestTry, consumed: list[dict[str, Any]]) -> _Attributes:
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
