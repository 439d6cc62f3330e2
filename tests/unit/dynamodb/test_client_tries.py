"""When a request is sent again, and when no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore import exceptions as boto
from freezegun import freeze_time

from quill_models import QuillError, Settings, errors
from quill_models.dynamodb.client import Client
from tests.unit.wire import Answer, Wire, always, answer, refusal

pytestmark = pytest.mark.usefixtures("isolated", "pauses")

KEY = {"pk": {"S": "AGENT#7"}, "sk": {"S": "PROFILE"}}
LOCAL = Settings(table="mine")
URL = "http://localhost:8000"


def ask(client: Client) -> dict[str, Any]:
    return client.request("get_item", TableName="mine", Key=KEY)


PASSING: list[Answer] = [
    boto.ConnectionClosedError(endpoint_url=URL),
    boto.ReadTimeoutError(endpoint_url=URL),
    refusal("ThrottlingException"),
    refusal("ProvisionedThroughputExceededException"),
    refusal("TransactionConflictException"),
    refusal("TransactionInProgressException"),
    refusal("InternalServerError", 500),
    answer(b"<html>Service Unavailable</html>", 503),
    answer(b'{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFai', 400),
]


@pytest.mark.parametrize("reply", PASSING, ids=range(len(PASSING)))
def test_request_transient_error_is_retried_until_the_deadline(
    reply: Answer, pauses: list[float]
) -> None:
    client = Client(replace(LOCAL, deadline=timedelta(seconds=5)))
    wire = Wire(client, always(reply))
    with pytest.raises(QuillError):
        ask(client)
    assert 3 < sum(pauses) <= 5
    assert len(wire.sent) == len(pauses) + 1
    # The requests are identical, so the token recognises the first write.
    assert all(request == wire.sent[0] for request in wire.sent)
    # Longer and longer, as a whole: the first five tries in less than a second and a half.
    assert sum(pauses[:5]) < 1.55


@pytest.mark.parametrize(
    "reply",
    [refusal("ValidationException"), refusal("AccessDeniedException"), boto.NoCredentialsError()],
    ids=["rejected", "denied", "no credentials"],
)
def test_request_permanent_error_is_sent_once(reply: Answer, pauses: list[float]) -> None:
    client = Client(LOCAL)
    wire = Wire(client, always(reply))
    with pytest.raises(QuillError):
        ask(client)
    assert (len(wire.sent), pauses) == (1, [])


class Slow:
    """A server that waits for a lock, or a connection that went dead without a word."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.fails = 0
        self.wire = Wire(client, self._reply)
        monkeypatch.setattr("quill_models.dynamodb.backoff.time.monotonic", lambda: self.now)

    def _reply(self, _name: str, _body: dict[str, Any]) -> Answer:
        if self.fails == 0:
            return answer({"Item": KEY})
        self.fails -= 1
        self.now += 20
        return boto.ReadTimeoutError(endpoint_url=URL)


def test_request_slow_first_try_is_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(LOCAL)
    server = Slow(client, monkeypatch)
    ask(client)
    server.fails = 2
    assert ask(client)["Item"] == KEY
    assert len(server.wire.sent) == 4
    server.fails = 3
    with pytest.raises(errors.AnswerLost):
        ask(client)


def test_request_server_that_never_responds_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Such as the container whose volume cannot be written: a person waits for the message.
    client = Client(LOCAL)
    server = Slow(client, monkeypatch)
    server.fails = 1
    with pytest.raises(errors.AnswerLost):
        ask(client)
    assert len(server.wire.sent) == 1


def test_request_zero_deadline_is_sent_once() -> None:
    client = Client(replace(LOCAL, deadline=timedelta(0)))
    wire = Wire(client, always(refusal("ThrottlingException")))
    with pytest.raises(errors.Throttled, match="throttled until its deadline"):
        ask(client)
    assert len(wire.sent) == 1


def test_request_server_that_responded_before_is_retried(pauses: list[float]) -> None:
    # The server is being restarted. A server that never responded does not exist.
    gone = boto.EndpointConnectionError(endpoint_url=URL)
    client = Client(LOCAL)
    wire = Wire(client, always(gone))
    with pytest.raises(errors.ServerUnreachable):
        ask(client)
    assert len(wire.sent) == 3
    replies: list[Answer] = [answer({"Item": KEY}), *[gone] * 7, answer({"Item": KEY})]
    wire.reply = lambda _name, _body: replies.pop(0)
    ask(client)
    assert ask(client)["Item"] == KEY


def test_request_frozen_time_ends_by_the_waits(pauses: list[float]) -> None:
    client = Client(LOCAL)
    Wire(client, always(refusal("ThrottlingException")))
    with freeze_time("2031-05-17 12:00:00"), pytest.raises(errors.Throttled):
        ask(client)
    assert 12 < sum(pauses) <= 15


def test_request_successful_retry_returns_the_response() -> None:
    client = Client(LOCAL)
    replies: list[Answer] = [
        boto.ConnectionClosedError(endpoint_url=URL),
        refusal("ThrottlingException"),
        answer({"Item": KEY}),
    ]
    Wire(client, lambda _name, _body: replies.pop(0))
    assert ask(client)["Item"] == KEY
