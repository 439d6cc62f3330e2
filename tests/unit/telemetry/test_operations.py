"""Operations: which calls are one, their duration, and their requests."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from quill_models import Increment, Key, Quill, QuillError, Settings, WebhookEvent, connect, errors
from quill_models.telemetry.operations import Operation, Threads, current_operation
from tests.unit.listener import Listener
from tests.unit.wire import Response, Wire, error_response, response

NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("isolated", "delays")


class Server:
    """A server with an empty table. It first sends the responses in ``first``."""

    def __init__(self, quill: Quill) -> None:
        self.first: list[Response] = []
        self.wire = Wire(quill.table.client, self._reply)

    def _reply(self, name: str, _body: dict[str, Any]) -> Response:
        if self.first:
            return self.first.pop(0)
        return response({"Items": [], "Count": 0, "ScannedCount": 0} if name == "Query" else {})


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def quill(listener: Listener) -> Quill:
    return connect(Settings(table="mine"), telemetry=listener)


@pytest.fixture
def server(quill: Quill) -> Server:
    return Server(quill)


def event(key: str = "e1") -> WebhookEvent:
    return WebhookEvent(
        source="hubspot",
        event_key=key,
        event_type="t",
        object_type="contact",
        object_id="7",
        occurred_at=NOON,
        received_at=NOON,
        payload={"eventId": 1},
    )


REPOSITORIES = [
    "store",
    "schema",
    "agents",
    "interactions",
    "metrics",
    "job_runs",
    "webhook_events",
    "migrations",
]
# A loop that may run for weeks, a call without a request, and a call inside `schema.apply`. Lists
# and iterators open their operation when they are read.
NO_OPERATIONS = {
    ("webhook_events", "process"),
    ("job_runs", "watermark"),
    ("migrations", "record_created"),
}


@pytest.mark.parametrize("name", REPOSITORIES)
def test_operation_decorates_public_calls_and_keeps_signatures(quill: Quill, name: str) -> None:
    methods = inspect.getmembers(type(getattr(quill, name)), inspect.isfunction)
    for method, function in methods:
        if method.startswith("_"):
            continue
        is_lazy = str(inspect.signature(function).return_annotation).startswith(
            ("Query", "Iterator")
        )
        is_operation = not is_lazy and (name, method) not in NO_OPERATIONS
        assert hasattr(function, "__wrapped__") == is_operation, method
        assert function.__name__ == method
        assert function.__doc__
        assert "args" not in inspect.signature(function).parameters


def test_operation_of_call_contains_its_requests(
    quill: Quill, server: Server, listener: Listener
) -> None:
    quill.webhook_events.record(event())
    (operation,) = listener.operations
    assert (operation.name, operation.table) == ("webhook_events.record", "mine")
    # The first request reads the number of shards.
    assert [each.request for each in listener.requests] == ["GetItem", "PutItem"]
    assert {each.operation for each in listener.requests} == {"webhook_events.record"}
    assert operation.requests == len(server.wire.sent) == 2
    assert operation.outcomes == {"created": 1}
    assert listener.open == []
    assert not listener.inside.total()
    assert current_operation() is None


def test_operation_ends_with_raised_error(quill: Quill, server: Server, listener: Listener) -> None:
    server.first = [error_response("ValidationException")]
    with pytest.raises(errors.RequestRejected) as raised:
        quill.store.put(Key("a", "b"), {"x": 1})
    assert listener.ended[-1][1] is raised.value
    assert listener.open == []


def test_operation_counts_retries(quill: Quill, server: Server, listener: Listener) -> None:
    server.first = [
        error_response("ThrottlingException"),
        error_response("InternalServerError", 500),
    ]
    quill.store.put(Key("a", "b"), {"x": 1})
    (operation,) = listener.operations
    assert (operation.requests, operation.retries) == (3, 2)
    assert [each.try_number for each in listener.requests] == [1, 2, 3]
    assert [(each.reason, each.request) for each in listener.retries] == [
        ("Throttled", "PutItem"),
        ("AnswerLost", "PutItem"),
    ]


def test_operation_contention_is_retry_without_request(
    quill: Quill, server: Server, listener: Listener
) -> None:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    canceled = error_response("TransactionCanceledException", CancellationReasons=reasons)
    server.first = [response({}), canceled]
    quill.metrics.add(Increment("global", "calls", "hour", NOON, 1, "e"))
    (operation,) = listener.operations
    assert operation.retries == 1
    assert [(each.reason, each.request) for each in listener.retries] == [("Contention", None)]


def test_operation_of_list_spans_its_reading(
    quill: Quill, server: Server, listener: Listener
) -> None:
    agents = quill.agents.list_by_team("north")
    assert (listener.names, server.wire.sent) == ([], [])
    list(agents)
    agents.page()
    agents.first()
    agents.count()
    assert listener.names == ["agents.list_by_team"] * 4
    assert {each.operation for each in listener.requests} == {"agents.list_by_team"}
    assert listener.open == []


def test_operation_of_sharded_list_contains_requests_of_threads(
    quill: Quill, server: Server, listener: Listener
) -> None:
    list(quill.webhook_events.list_by_status("hubspot", "pending"))
    (operation,) = listener.operations
    assert operation.requests == len(server.wire.sent) == 5
    assert {each.operation for each in listener.requests} == {"webhook_events.list_by_status"}


def test_operation_of_iterator_spans_its_use(
    quill: Quill, server: Server, listener: Listener
) -> None:
    given = quill.webhook_events.iter_record_many(event(str(number)) for number in range(350))
    assert listener.open == []
    next(given)
    (begun,) = listener.open
    # Between the results, calls of the caller are not part of the operation.
    assert current_operation() is None
    assert not listener.inside.total()
    quill.store.get(Key("a", "b"))
    assert listener.names == ["store.get"]
    assert len(list(given)) == 349
    assert listener.names == ["store.get", "webhook_events.iter_record_many"]
    assert isinstance(begun, Operation)
    assert begun.outcomes == {"created": 350}
    writes = [each for each in listener.requests if each.request == "TransactWriteItems"]
    assert {each.operation for each in writes} == {"webhook_events.iter_record_many"}
    assert len(writes) == 4


def test_operation_of_closed_iterator_ends_without_error(
    quill: Quill, server: Server, listener: Listener
) -> None:
    given = quill.webhook_events.iter_record_many(event(str(number)) for number in range(350))
    next(given)
    assert isinstance(given, Generator)
    given.close()
    for _ in quill.webhook_events.iter_record_many([event("a"), event("b")]):
        break
    assert [error for _, error in listener.ended if error is not None] == []
    assert listener.names == ["webhook_events.iter_record_many"] * 2
    assert listener.open == []


def test_operation_of_input_is_nested(quill: Quill, server: Server, listener: Listener) -> None:
    def given() -> Iterator[WebhookEvent]:
        quill.store.get(Key("a", "b"))
        yield event()

    quill.webhook_events.record_many(given())
    inner, outer = listener.operations
    assert (inner.name, inner.requests) == ("store.get", 1)
    assert inner.within is outer
    assert outer.requests == len(server.wire.sent)


def test_operation_partial_bulk_write_counts_known_outcomes(
    quill: Quill, server: Server, listener: Listener
) -> None:
    server.first = [response({}), response({}), error_response("AccessDeniedException")]
    with pytest.raises(errors.PartialWriteError):
        quill.webhook_events.record_many(event(str(number)) for number in range(150))
    (operation,) = listener.operations
    assert operation.outcomes == {"created": 100}


def test_operation_of_claim_contains_its_query(
    quill: Quill, server: Server, listener: Listener
) -> None:
    quill.webhook_events.claim("hubspot")
    assert listener.names == ["webhook_events.claim"]
    assert {each.operation for each in listener.requests} == {"webhook_events.claim"}


def test_request_of_pynamodb_is_observed(quill: Quill, server: Server, listener: Listener) -> None:
    with quill:
        list(WebhookEvent.query("WEBHOOK#hubspot#e1"))
    (request,) = listener.requests
    assert (request.request, request.table, request.operation) == ("Query", "mine", None)


def test_threads_inherit_operation_of_submitter(quill: Quill) -> None:
    with Threads(1) as pool, Operation("one", quill.table) as one:
        assert one.run(pool.submit, current_operation).result() is one
        assert list(one.run(pool.map, lambda _: current_operation(), range(3))) == [one] * 3
        assert pool.submit(current_operation).result() is None


def test_telemetry_observes_only_its_connection(
    quill: Quill, server: Server, listener: Listener
) -> None:
    other_listener = Listener()
    other = connect(Settings(table="other"), telemetry=other_listener)
    Server(other)
    quill.store.get(Key("a", "b"))
    other.store.get(Key("a", "b"))
    assert [each.table for each in listener.requests] == ["mine"]
    assert [each.table for each in other_listener.requests] == ["other"]


def test_request_asks_for_capacity_only_if_observed(
    quill: Quill, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def asks_for_capacity(connected: Quill, wire: Wire) -> bool:
        connected.store.get(Key("a", "b"))
        return wire.sent[-1][1].get("ReturnConsumedCapacity") == "TOTAL"

    alone = connect(Settings(table="alone"))
    wire = Server(alone).wire
    assert asks_for_capacity(quill, server.wire)
    caplog.set_level("INFO", "quill_models")
    assert not asks_for_capacity(alone, wire)
    caplog.set_level("DEBUG", "quill_models.requests")
    assert asks_for_capacity(alone, wire)


def test_import_does_not_load_opentelemetry() -> None:
    program = "import sys, quill_models; print([n for n in sys.modules if 'opentelemetry' in n])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert shown.stdout.decode().strip() == "[]"


def test_put_invalid_key_sends_no_request(quill: Quill, listener: Listener) -> None:
    with pytest.raises(QuillError):
        quill.store.put(Key("", "b"), {})
    assert listener.requests == []
    assert listener.names == ["store.put"]
