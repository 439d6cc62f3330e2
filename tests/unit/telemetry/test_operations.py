"""Which calls are operations, when they begin and end, and who works for them."""

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
from tests.unit.wire import Answer, Wire, answer, refusal

NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("isolated", "pauses")


class Server:
    """Answers as an empty table does, after what it is told to answer first."""

    def __init__(self, quill: Quill) -> None:
        self.first: list[Answer] = []
        self.wire = Wire(quill.table.client, self._reply)

    def _reply(self, name: str, _body: dict[str, Any]) -> Answer:
        if self.first:
            return self.first.pop(0)
        return answer({"Items": [], "Count": 0, "ScannedCount": 0} if name == "Query" else {})


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
# A loop that may run for weeks, what makes no request, and what `schema.apply` calls. Lists and
# iterators open their operation when they are read.
NO_OPERATIONS = {
    ("webhook_events", "process"),
    ("job_runs", "watermark"),
    ("migrations", "record_created"),
}


@pytest.mark.parametrize("name", REPOSITORIES)
def test_every_public_call_is_an_operation_and_looks_as_it_was_written(
    quill: Quill, name: str
) -> None:
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


def test_a_call_is_one_operation_and_its_requests_are_its_own(
    quill: Quill, server: Server, listener: Listener
) -> None:
    quill.webhook_events.record(event())
    (operation,) = listener.operations
    assert (operation.name, operation.table) == ("webhook_events.record", "mine")
    # The number of shards is asked for, too.
    assert [each.request for each in listener.requests] == ["GetItem", "PutItem"]
    assert {each.operation for each in listener.requests} == {"webhook_events.record"}
    assert operation.requests == len(server.wire.sent) == 2
    assert operation.outcomes == {"created": 1}
    assert listener.open == []
    assert not listener.inside.total()
    assert current_operation() is None


def test_an_error_ends_it(quill: Quill, server: Server, listener: Listener) -> None:
    server.first = [refusal("ValidationException")]
    with pytest.raises(errors.RequestRejected) as raised:
        quill.store.put(Key("a", "b"), {"x": 1})
    assert listener.ended[-1][1] is raised.value
    assert listener.open == []


def test_retries_are_counted_where_they_are_made(
    quill: Quill, server: Server, listener: Listener
) -> None:
    server.first = [refusal("ThrottlingException"), refusal("InternalServerError", 500)]
    quill.store.put(Key("a", "b"), {"x": 1})
    (operation,) = listener.operations
    assert (operation.requests, operation.retries) == (3, 2)
    assert [each.try_number for each in listener.requests] == [1, 2, 3]
    assert [(each.reason, each.request) for each in listener.retries] == [
        ("Throttled", "PutItem"),
        ("AnswerLost", "PutItem"),
    ]


def test_contention_is_a_retry_of_the_write_and_of_no_request(
    quill: Quill, server: Server, listener: Listener
) -> None:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    canceled = refusal("TransactionCanceledException", CancellationReasons=reasons)
    server.first = [answer({}), canceled]
    quill.metrics.add(Increment("global", "calls", "hour", NOON, 1, "e"))
    (operation,) = listener.operations
    assert operation.retries == 1
    assert [(each.reason, each.request) for each in listener.retries] == [("Contention", None)]


def test_a_list_is_an_operation_while_it_is_read(
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


def test_lists_of_many_shards_are_read_in_threads_that_work_for_it(
    quill: Quill, server: Server, listener: Listener
) -> None:
    list(quill.webhook_events.list_by_status("hubspot", "pending"))
    (operation,) = listener.operations
    assert operation.requests == len(server.wire.sent) == 5
    assert {each.operation for each in listener.requests} == {"webhook_events.list_by_status"}


def test_an_iterator_is_one_while_it_is_used(
    quill: Quill, server: Server, listener: Listener
) -> None:
    given = quill.webhook_events.iter_record_many(event(str(number)) for number in range(350))
    assert listener.open == []
    next(given)
    (begun,) = listener.open
    # Between its results the caller does what it likes, for itself.
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


def test_an_iterator_that_is_closed_or_forgotten_ends_without_an_error(
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


def test_what_the_input_does_is_done_within_it(
    quill: Quill, server: Server, listener: Listener
) -> None:
    def given() -> Iterator[WebhookEvent]:
        quill.store.get(Key("a", "b"))
        yield event()

    quill.webhook_events.record_many(given())
    inner, outer = listener.operations
    assert (inner.name, inner.requests) == ("store.get", 1)
    assert inner.within is outer
    assert outer.requests == len(server.wire.sent)


def test_known_outcomes_of_a_bulk_write_that_ends_early_count(
    quill: Quill, server: Server, listener: Listener
) -> None:
    server.first = [answer({}), answer({}), refusal("AccessDeniedException")]
    with pytest.raises(errors.PartialWriteError):
        quill.webhook_events.record_many(event(str(number)) for number in range(150))
    (operation,) = listener.operations
    assert operation.outcomes == {"created": 100}


def test_a_query_of_our_own_belongs_to_the_call_that_made_it(
    quill: Quill, server: Server, listener: Listener
) -> None:
    quill.webhook_events.claim("hubspot")
    assert listener.names == ["webhook_events.claim"]
    assert {each.operation for each in listener.requests} == {"webhook_events.claim"}


def test_pynamodbs_own_requests_are_told_of_too(
    quill: Quill, server: Server, listener: Listener
) -> None:
    with quill:
        list(WebhookEvent.query("WEBHOOK#hubspot#e1"))
    (request,) = listener.requests
    assert (request.request, request.table, request.operation) == ("Query", "mine", None)


def test_threads_work_for_the_operation_that_gave_them_the_work(quill: Quill) -> None:
    with Threads(1) as pool, Operation("one", quill.table) as one:
        assert one.run(pool.submit, current_operation).result() is one
        assert list(one.run(pool.map, lambda _: current_operation(), range(3))) == [one] * 3
        assert pool.submit(current_operation).result() is None


def test_two_connections_tell_their_own(quill: Quill, server: Server, listener: Listener) -> None:
    other_listener = Listener()
    other = connect(Settings(table="other"), telemetry=other_listener)
    Server(other)
    quill.store.get(Key("a", "b"))
    other.store.get(Key("a", "b"))
    assert [each.table for each in listener.requests] == ["mine"]
    assert [each.table for each in other_listener.requests] == ["other"]


def test_units_are_asked_for_only_where_somebody_listens(
    quill: Quill, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def asked(connected: Quill, wire: Wire) -> bool:
        connected.store.get(Key("a", "b"))
        return wire.sent[-1][1].get("ReturnConsumedCapacity") == "TOTAL"

    alone = connect(Settings(table="alone"))
    wire = Server(alone).wire
    assert asked(quill, server.wire)
    caplog.set_level("INFO", "quill_models")
    assert not asked(alone, wire)
    caplog.set_level("DEBUG", "quill_models.requests")
    assert asked(alone, wire)


def test_nothing_of_opentelemetry_is_loaded_unless_it_is_asked_for() -> None:
    program = "import sys, quill_models; print([n for n in sys.modules if 'opentelemetry' in n])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert shown.stdout.decode().strip() == "[]"


def test_an_error_that_the_server_never_heard_of_is_no_request(
    quill: Quill, listener: Listener
) -> None:
    with pytest.raises(QuillError):
        quill.store.put(Key("", "b"), {})
    assert listener.requests == []
    assert listener.names == ["store.put"]
