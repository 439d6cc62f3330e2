"""What the log says of requests and retries, and what it never says."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore import exceptions as boto
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quill_models import (
    Agent,
    Increment,
    Interaction,
    Key,
    Quill,
    QuillError,
    Settings,
    WebhookEvent,
    connect,
)
from tests.unit.wire import Answer, Wire, answer, refusal

NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
SETTINGS = Settings(table="mine")
KEY = Key("a", "b")
STORED = {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}}

pytestmark = pytest.mark.usefixtures("isolated", "pauses")


@pytest.fixture
def quill() -> Quill:
    return connect(SETTINGS)


@contextmanager
def kept() -> Iterator[list[logging.LogRecord]]:
    """All records of this package, at every level, from every thread."""
    found: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    handler, logger = Keeping(), logging.getLogger("quill_models")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    with kept() as found:
        yield found


def answering(quill: Quill, *replies: Answer | dict[str, Any]) -> Wire:
    left = list(replies)

    def reply(_name: str, _body: dict[str, Any]) -> Answer:
        each = left.pop(0) if left else {}
        return answer(each) if isinstance(each, dict) else each

    return Wire(quill.table.client, reply)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name.startswith("quill_")}


def test_a_request(quill: Quill, records: list[logging.LogRecord]) -> None:
    wire = answering(
        quill, {"ConsumedCapacity": {"TableName": "mine", "CapacityUnits": 3.0}, **STORED}
    )
    quill.table.client.request("get_item", TableName="mine", Key={})
    (record,) = records
    assert (record.name, record.levelname) == ("quill_models.requests", "DEBUG")
    found = fields(record)
    duration = found.pop("quill_duration_ms")
    assert found == {
        "quill_operation": None,
        "quill_request": "GetItem",
        "quill_table": "mine",
        "quill_index": None,
        "quill_try_number": 1,
        "quill_http_status": 200,
        "quill_error": None,
        "quill_items": 1,
        "quill_sent_bytes": 62,
        "quill_received_bytes": None,
        "quill_read_units": 3.0,
        "quill_write_units": 0.0,
        "quill_request_id": None,
    }
    assert wire.sent[0][1]["ReturnConsumedCapacity"] == "TOTAL"
    assert record.getMessage() == f"GetItem on mine: 200, 1 item, {duration:.1f} ms, 3 read units"


REQUESTS: list[tuple[str, dict[str, Any], dict[str, Any], tuple[Any, ...]]] = [
    (
        "query",
        {"TableName": "mine", "IndexName": "gsi1"},
        {"Count": 2, "ConsumedCapacity": {"CapacityUnits": 0.5}},
        ("mine", "gsi1", 2, 0.5, 0.0),
    ),
    (
        "put_item",
        {"TableName": "mine", "Item": {"x": {"S": "y"}}},
        {"ConsumedCapacity": {"CapacityUnits": 4}},
        ("mine", None, 1, 0.0, 4.0),
    ),
    ("delete_item", {"TableName": "mine", "Key": {}}, {}, ("mine", None, 1, None, None)),
    (
        "transact_write_items",
        {"TransactItems": [{"Put": {"TableName": "mine"}}, {"Delete": {"TableName": "mine"}}]},
        {"ConsumedCapacity": [{"ReadCapacityUnits": 1, "WriteCapacityUnits": 4}]},
        ("mine", None, 2, 1.0, 4.0),
    ),
    (
        "batch_get_item",
        {"RequestItems": {"mine": {"Keys": [{}, {}, {}]}}},
        {"Responses": {"mine": [{}, {}]}, "ConsumedCapacity": [{"CapacityUnits": 2}]},
        ("mine", None, 2, 2.0, 0.0),
    ),
    (
        "batch_write_item",
        {"RequestItems": {"mine": [{"PutRequest": {}}] * 3}},
        {},
        ("mine", None, 3, None, None),
    ),
    (
        "batch_execute_statement",
        {"Statements": [{"Statement": "INSERT INTO \"mine\" VALUE {'x': ?}"}] * 25},
        {"Responses": [], "ConsumedCapacity": [{"CapacityUnits": 12}, {"CapacityUnits": 13}]},
        ("mine", None, 25, 0.0, 25.0),
    ),
    # A statement of somebody else's may hold anything.
    (
        "batch_execute_statement",
        {"Statements": [{"Statement": "UPDATE mine SET x='\"secret\"'"}]},
        {"Responses": []},
        (None, None, 1, None, None),
    ),
    ("list_tables", {}, {"TableNames": []}, (None, None, None, None, None)),
]


@pytest.mark.parametrize("case", REQUESTS, ids=[each[0] for each in REQUESTS])
def test_what_each_is_about(
    quill: Quill, records: list[logging.LogRecord], case: tuple[Any, ...]
) -> None:
    name, parameters, reply, expected = case
    answering(quill, reply)
    quill.table.client.request(name, **parameters)
    found = fields(records[-1])
    names = ("table", "index", "items", "read_units", "write_units")
    assert tuple(found[f"quill_{each}"] for each in names) == expected


FAILURES: list[tuple[Answer, int | None, str]] = [
    (refusal("ThrottlingException"), 400, "ThrottlingException"),
    (refusal("InternalServerError", 500), 500, "InternalServerError"),
    (answer(b"<html>Service Unavailable</html>", 503), 503, "503"),
    (boto.ConnectionClosedError(endpoint_url="http://localhost"), None, "ConnectionClosedError"),
    (boto.ReadTimeoutError(endpoint_url="http://localhost"), None, "ReadTimeoutError"),
]


@pytest.mark.parametrize(("failure", "status", "error"), FAILURES)
def test_a_failure_and_its_retry(
    quill: Quill,
    records: list[logging.LogRecord],
    failure: Answer,
    status: int | None,
    error: str,
) -> None:
    answering(quill, failure, STORED)
    quill.store.get(KEY)
    failed, retried, done = records
    assert (fields(failed)["quill_http_status"], fields(failed)["quill_error"]) == (status, error)
    assert fields(failed)["quill_items"] is None
    assert (retried.name, retried.levelname) == ("quill_models.retries", "INFO")
    assert fields(retried)["quill_request"] == "GetItem"
    assert fields(retried)["quill_operation"] == "store.get"
    assert fields(retried)["quill_table"] == "mine"
    assert fields(retried)["quill_try_number"] == 1
    assert 0 <= fields(retried)["quill_wait_ms"] <= 50
    assert (fields(done)["quill_try_number"], fields(done)["quill_error"]) == (2, None)
    assert ", try 2, 1 item" in done.getMessage()


def test_half_an_answer_is_none(quill: Quill, records: list[logging.LogRecord]) -> None:
    cut = answer({"Item": {}})
    cut.headers["Content-Length"] = "4000"
    answering(quill, cut, STORED)
    quill.store.get(KEY)
    assert fields(records[0])["quill_error"] == "ResponseStreamingError"
    assert fields(records[0])["quill_http_status"] == 200


def test_a_call_that_has_used_half_its_time_warns_once(
    records: list[logging.LogRecord], pauses: list[float]
) -> None:
    quill = connect(replace(SETTINGS, deadline=timedelta(seconds=5)))
    Wire(quill.table.client, lambda _name, _body: refusal("ThrottlingException"))
    with pytest.raises(QuillError):
        quill.store.get(KEY)
    retries = [each for each in records if each.name == "quill_models.retries"]
    assert len(retries) == len(pauses) > 3
    (late,) = [each for each in retries if each.levelname == "WARNING"]

    def next_try(record: logging.LogRecord) -> float:
        return float(fields(record)["quill_spent_ms"] + fields(record)["quill_wait_ms"])

    assert next_try(late) >= 2500 > next_try(retries[retries.index(late) - 1])
    assert "Throttled" in late.getMessage()
    assert "of 5 s" in late.getMessage()


def test_quiet_by_default() -> None:
    program = (
        "import logging; from quill_models import connect;"
        "logging.getLogger('quill_models.job_runs').warning('something')"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (shown.stdout, shown.stderr) == (b"", b"")


def test_fields_that_the_application_gives_to_all_records(
    quill: Quill, records: list[logging.LogRecord]
) -> None:
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        for name in ("request_id", "operation", "table", "error", "items"):
            setattr(record, name, "theirs")
        return record

    logging.setLogRecordFactory(factory)
    try:
        answering(quill, STORED)
        quill.store.get(KEY)
    finally:
        logging.setLogRecordFactory(before)
    assert vars(records[0])["operation"] == "theirs"
    assert fields(records[0])["quill_operation"] == "store.get"


# What is the user's never gets there.

# A text that is in nothing else.
secrets = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).map(
    lambda text: f"§{text}§"
)


def an_event(secret: str) -> WebhookEvent:
    return WebhookEvent(
        source="hubspot",
        event_key="e1",
        event_type="t",
        object_type="contact",
        object_id=secret,
        occurred_at=NOON,
        received_at=NOON,
        payload={secret: [secret]},
    )


def an_interaction(secret: str) -> Interaction:
    return Interaction(
        interaction_id=secret,
        source="hubspot",
        external_id=secret,
        agent_id=secret,
        contact_id=secret,
        channel="call",
        started_at=NOON,
        subject=secret,
        attributes={"note": secret},
    )


def an_agent(secret: str) -> Agent:
    return Agent(
        agent_id=secret, name=secret, email=f"{secret}@b.c", external_ids={"hubspot": secret}
    )


def an_increment(secret: str) -> Increment:
    return Increment(
        scope=f"agent:{secret}", name=secret, grain="day", at=NOON, amount=1, event_key=secret
    )


def in_a_run(quill: Quill, secret: str) -> None:
    with quill.job_runs.start("job", "w") as run:
        run.stats[secret] = secret
        run.save_checkpoint({"at": secret})
        raise ValueError(secret)


CALLS: list[Callable[[Quill, str], object]] = [
    lambda quill, secret: quill.store.put(Key(secret, secret), {"x": secret, secret: 1}),
    lambda quill, secret: quill.store.put(Key(secret, "b"), {"x": secret}, if_not_exists=True),
    lambda quill, secret: quill.store.get(Key(secret, secret)),
    lambda quill, secret: list(quill.store.query(secret, secret)),
    lambda quill, secret: quill.store.delete(Key(secret, secret)),
    lambda quill, secret: quill.store.check_and_mark(Key(secret, secret), timedelta(hours=1)),
    lambda quill, secret: quill.webhook_events.record(an_event(secret)),
    lambda quill, secret: quill.webhook_events.record_many([an_event(secret)]),
    lambda quill, secret: quill.webhook_events.record_many([an_event(secret)], prefer="cost"),
    lambda quill, secret: quill.webhook_events.list_by_object("hubspot", "c", secret).first(),
    lambda quill, secret: quill.interactions.record(an_interaction(secret)),
    lambda quill, secret: quill.interactions.put(an_interaction(secret)),
    lambda quill, secret: quill.interactions.list_by_contact(secret).page(),
    lambda quill, secret: quill.agents.put(an_agent(secret)),
    lambda quill, secret: list(quill.agents.iter_put_many([an_agent(secret)])),
    lambda quill, secret: quill.agents.get_by_external_id("hubspot", secret),
    lambda quill, secret: quill.metrics.add(an_increment(secret)),
    in_a_run,
]


def replies(secret: str) -> list[Answer]:
    """What a server, or what is in front of it, may say with the secret in it."""
    raw = {"pk": {"S": secret}, "sk": {"S": secret}, "payload": {"S": secret}}
    reason = {"Code": "ConditionalCheckFailed", "Message": secret, "Item": raw}
    return [
        answer({"Item": raw, "Items": [raw], "Count": 1, "ScannedCount": 1}),
        answer({"Items": [], "Count": 0, "Responses": {"mine": [raw]}}),
        answer({}),
        refusal("ConditionalCheckFailedException", Item=raw),
        refusal("TransactionCanceledException", CancellationReasons=[reason]),
        refusal("ValidationException", Message=secret, message=secret),
        refusal("ThrottlingException", message=secret),
        refusal("InternalServerError", 500, message=secret),
        answer(f"<html>{secret}</html>".encode(), 503),
        answer(f'{{"Item": {{"x": "{secret}'.encode(), 200),
        boto.ConnectionClosedError(endpoint_url="http://localhost", request=secret),
        boto.HTTPClientError(error=secret),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(
    secret=secrets,
    call=st.sampled_from(CALLS),
    drawn=st.lists(st.integers(0, 11), min_size=1, max_size=8),
)
def test_nothing_of_the_users_gets_into_a_record(
    pauses: list[float],
    secret: str,
    call: Callable[[Quill, str], object],
    drawn: list[int],
) -> None:
    quill = connect(replace(SETTINGS, deadline=timedelta(0)))
    given_replies = replies(secret)
    left = [given_replies[at] for at in drawn]
    # The first one each time, so that a call does not go on for ever.
    wire = Wire(quill.table.client, lambda _n, _b: left.pop(0) if left else given_replies[5])
    with kept() as found:
        # An answer that makes no sense may end a call in any way.
        with suppress(QuillError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
            call(quill, secret)
    assert len([each for each in found if each.name == "quill_models.requests"]) == len(wire.sent)
    for record in found:
        said = f"{record.getMessage()} {vars(record)!r}"
        assert secret not in said
        assert repr(secret)[1:-1] not in said
        assert record.exc_info is None
        assert record.exc_text is None


def test_credentials_are_in_no_record(
    monkeypatch: pytest.MonkeyPatch, records: list[logging.LogRecord]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDSECRET")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "shh-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-secret")
    quill = connect(Settings.load(environ={"DATA_BACKEND": "aws", "AWS_REGION": "eu-west-1"}))
    answering(quill, refusal("ExpiredTokenException"))
    with pytest.raises(QuillError):
        quill.store.get(KEY)
    assert records
    said = repr([vars(record) for record in records])
    assert "SECRET" not in said
    assert "-secret" not in said
