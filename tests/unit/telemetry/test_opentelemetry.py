"""OpenTelemetry spans and metrics: names of its conventions, and no user data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore import exceptions as boto
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from quill_models import Key, Quill, Settings, connect, errors
from quill_models.telemetry import OpenTelemetry
from tests.unit.telemetry.support import respond_with
from tests.unit.telemetry.test_operations import event
from tests.unit.wire import error_response, response

pytestmark = pytest.mark.usefixtures("isolated", "delays")

KEY = Key("a", "b")


class Collected:
    """The spans and metrics that the SDK received."""

    def __init__(self) -> None:
        self.spans, self.metrics = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracer = tracers.get_tracer("the application's")
        self.telemetry = OpenTelemetry(tracers, MeterProvider([self.metrics]))

    def span(self, name: str) -> ReadableSpan:
        (found,) = [each for each in self.spans.get_finished_spans() if each.name == name]
        return found

    def points(self, name: str) -> dict[tuple[tuple[str, Any], ...], float]:
        """The values of a metric by its attributes. For a histogram, the counts."""
        data = self.metrics.get_metrics_data()
        assert isinstance(data, MetricsData)
        return {
            tuple(sorted((point.attributes or {}).items())): (
                point.value if isinstance(point, NumberDataPoint) else point.count
            )
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }


@pytest.fixture
def collected() -> Collected:
    return Collected()


@pytest.fixture
def quill(collected: Collected) -> Quill:
    return connect(Settings(table="mine"), telemetry=collected.telemetry)


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def key(**more: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name.replace("__", "."), value) for name, value in more.items()))


CONSUMED = {"TableName": "mine", "CapacityUnits": 4.0}


def test_opentelemetry_put_records_operation_and_request(
    quill: Quill, collected: Collected
) -> None:
    reply = response({"ConsumedCapacity": CONSUMED})
    reply.headers["x-amzn-requestid"] = "R1"
    respond_with(quill, reply)
    quill.store.put(KEY, {"x": 1})
    operation, request = collected.span("store.put"), collected.span("DynamoDB.PutItem")
    assert (operation.kind, request.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert request.parent == operation.context
    assert attributes(request) == {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "PutItem",
        "db.collection.name": "mine",
        "server.address": "localhost",
        "server.port": 8000,
        "aws.dynamodb.table_names": ("mine",),
        "aws.dynamodb.consumed_capacity": ('{"TableName": "mine", "CapacityUnits": 4.0}',),
        "aws.request_id": "R1",
        "quill.operation": "store.put",
    }
    assert attributes(operation) == {
        "quill.operation": "store.put",
        "db.collection.name": "mine",
        "quill.requests": 1,
        "quill.retries": 0,
        "quill.read_units": 0.0,
        "quill.write_units": 4.0,
    }
    of_request = key(
        quill__operation="store.put", db__collection__name="mine", db__operation__name="PutItem"
    )
    assert collected.points("quill.requests") == {of_request: 1}
    assert collected.points("quill.write_units") == {of_request: 4}
    assert collected.points("quill.read_units") == {}
    of_operation = key(quill__operation="store.put", db__collection__name="mine")
    assert collected.points("quill.operation.duration") == {of_operation: 1}
    (standard,) = collected.points("db.client.operation.duration")
    assert dict(standard) == {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "PutItem",
        "db.collection.name": "mine",
        "server.address": "localhost",
        "server.port": 8000,
    }


def test_opentelemetry_bulk_write_counts_outcomes(quill: Quill, collected: Collected) -> None:
    respond_with(quill)
    quill.webhook_events.record_many([event("1"), event("2"), event("1")])
    assert collected.points("quill.outcomes") == {
        key(
            quill__operation="webhook_events.record_many",
            db__collection__name="mine",
            quill__outcome="created",
        ): 2,
        key(
            quill__operation="webhook_events.record_many",
            db__collection__name="mine",
            quill__outcome="duplicate",
        ): 1,
    }
    span = collected.span("webhook_events.record_many")
    assert attributes(span)["quill.outcomes.created"] == 2
    assert attributes(span)["quill.outcomes.duplicate"] == 1
    assert attributes(collected.span("DynamoDB.TransactWriteItems"))["db.operation.batch.size"] == 2


def test_opentelemetry_list_records_index(quill: Quill, collected: Collected) -> None:
    respond_with(quill, {"Items": [], "Count": 0, "ScannedCount": 0})
    list(quill.agents.list_by_team("north"))
    request = attributes(collected.span("DynamoDB.Query"))
    assert request["aws.dynamodb.index_name"] == "gsi2"
    assert request["db.response.returned_rows"] == 0
    assert collected.span("DynamoDB.Query").parent == collected.span("agents.list_by_team").context


def test_opentelemetry_retry_adds_event_and_counts(quill: Quill, collected: Collected) -> None:
    respond_with(
        quill,
        error_response("ThrottlingException"),
        boto.ConnectionClosedError(endpoint_url="http://localhost"),
    )
    quill.store.delete(KEY)
    request = collected.span("DynamoDB.DeleteItem")
    assert request.status.status_code is StatusCode.UNSET
    assert attributes(request)["quill.tries"] == 3
    assert [
        (each.name, (each.attributes or {})["quill.retry.reason"]) for each in request.events
    ] == [
        ("quill.retry", "Throttled"),
        ("quill.retry", "AnswerLost"),
    ]
    place = {
        "quill__operation": "store.delete",
        "db__collection__name": "mine",
        "db__operation__name": "DeleteItem",
    }
    assert collected.points("quill.retries") == {
        key(**place, quill__retry__reason="Throttled"): 1,
        key(**place, quill__retry__reason="AnswerLost"): 1,
    }
    assert collected.points("quill.requests") == {
        key(**place): 1,
        key(**place, error__type="ConnectionClosedError"): 1,
        key(
            **place,
            error__type="ThrottlingException",
            db__response__status_code="ThrottlingException",
        ): 1,
    }
    # One call with three tries.
    assert list(collected.points("db.client.operation.duration").values()) == [1]


def test_opentelemetry_error_records_type_without_message(
    quill: Quill, collected: Collected
) -> None:
    respond_with(
        quill, error_response("ValidationException", Message="of the payload", message="payload")
    )
    with pytest.raises(errors.RequestRejected):
        quill.store.put(KEY, {"x": 1})
    request, operation = collected.span("DynamoDB.PutItem"), collected.span("store.put")
    assert attributes(request)["error.type"] == "ValidationException"
    assert attributes(request)["db.response.status_code"] == "ValidationException"
    assert attributes(operation)["error.type"] == "RequestRejected"
    for span in (request, operation):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert span.events == ()
        assert "payload" not in span.to_json()


def test_opentelemetry_failed_condition_is_not_an_error(quill: Quill, collected: Collected) -> None:
    stored = {"pk": {"S": "a"}, "sk": {"S": "b"}, "write_token": {"S": "other"}}
    respond_with(quill, error_response("ConditionalCheckFailedException", Item=stored))
    assert not quill.store.put(KEY, {"x": 1}, if_not_exists=True)
    request = collected.span("DynamoDB.PutItem")
    assert request.status.status_code is StatusCode.UNSET
    assert attributes(request)["db.response.status_code"] == "ConditionalCheckFailedException"
    assert "error.type" not in attributes(request)


def test_opentelemetry_application_spans_nest_with_operation(
    quill: Quill, collected: Collected
) -> None:
    respond_with(quill)

    def given() -> Any:
        with collected.tracer.start_as_current_span("reads its source"):
            yield event()

    with collected.tracer.start_as_current_span("a job") as job:
        quill.webhook_events.record_many(given())
        assert trace.get_current_span() is job
    operation = collected.span("webhook_events.record_many")
    assert operation.parent == job.get_span_context()
    assert collected.span("reads its source").parent == operation.context


def test_opentelemetry_without_sdk_records_nothing(isolated: object) -> None:
    quill = connect(Settings(table="mine"), telemetry=OpenTelemetry())
    respond_with(quill)
    quill.store.put(KEY, {"x": 1})
    assert not trace.get_current_span().is_recording()
