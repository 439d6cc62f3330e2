"""Retries of a request."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore import exceptions as boto
from freezegun import freeze_time

from quill_models import QuillError, Settings, errors
from quill_models.dynamodb.client import Client
from tests.unit.wire import Response, Wire, always, error_response, response

pytestmark = pytest.mark.usefixtures("isolated", "delays")

KEY = {"pk": {"S": "AGENT#7"}, "sk": {"S": "PROFILE"}}
LOCAL = Settings(table="mine")
URL = "http://localhost:8000"


def get_item(client: Client) -> dict[str, Any]:
    return client.request("get_item", TableName="mine", Key=KEY)


PASSING: list[Response] = [
    boto.ConnectionClosedError(endpoint_url=URL),
    boto.ReadTimeoutError(endpoint_url=URL),
    error_response("ThrottlingException"),
    error_response("ProvisionedThroughputExceededException"),
    error_response("TransactionConflictException"),
    error_response("TransactionInProgressException"),
    error_response("InternalServerError", 500),
    response(b"<html>Service Unavailable</html>", 503),
    response(b'{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFai', 400),
]


@pytest.mark.parametrize("reply", PASSING, ids=range(len(PASSING)))
def test_request_transient_error_is_retried_until_the_deadline(
    reply: Response, delays: list[float]
) -> None:
    client = Client(replace(LOCAL, deadline=timedelta(seconds=5)))
    wire = Wire(client, always(reply))
    with pytest.raises(QuillError):
        get_item(client)
    assert 3 < sum(delays) <= 5
    assert len(wire.sent) == len(delays) + 1
    # The requests are identical, so the token recognises the first write.
    assert all(request == wire.sent[0] for request in wire.sent)
    # The waits grow: the first five take less than 1.55 seconds.
    assert sum(delays[:5]) < 1.55


@pytest.mark.parametrize(
    "reply",
    [
        error_response("ValidationException"),
        error_response("AccessDeniedException"),
        boto.NoCredentialsError(),
    ],
    ids=["rejected", "denied", "no credentials"],
)
def test_request_permanent_error_is_sent_once(reply: Response, delays: list[float]) -> None:
    client = Client(LOCAL)
    wire = Wire(client, always(reply))
    with pytest.raises(QuillError):
        get_item(client)
    assert (len(wire.sent), delays) == (1, [])


class Slow:
    """A server whose next ``fails`` responses time out after 20 seconds."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.fails = 0
        self.wire = Wire(client, self._reply)
        monkeypatch.setattr("quill_models.dynamodb.backoff.time.monotonic", lambda: self.now)

    def _reply(self, _name: str, _body: dict[str, Any]) -> Response:
        if self.fails == 0:
            return response({"Item": KEY})
        self.fails -= 1
        self.now += 20
        return boto.ReadTimeoutError(endpoint_url=URL)


def test_request_slow_first_try_is_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(LOCAL)
    server = Slow(client, monkeypatch)
    get_item(client)
    server.fails = 2
    assert get_item(client)["Item"] == KEY
    assert len(server.wire.sent) == 4
    server.fails = 3
    with pytest.raises(errors.AnswerLost):
        get_item(client)


def test_request_server_that_never_responds_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # For example a container whose volume is read-only: a user waits for the message.
    client = Client(LOCAL)
    server = Slow(client, monkeypatch)
    server.fails = 1
    with pytest.raises(errors.AnswerLost):
        get_item(client)
    assert len(server.wire.sent) == 1


def test_request_zero_deadline_is_sent_once() -> None:
    client = Client(replace(LOCAL, deadline=timedelta(0)))
    wire = Wire(client, always(error_response("ThrottlingException")))
    with pytest.raises(errors.Throttled, match="throttled until its deadline"):
        get_item(client)
    assert len(wire.sent) == 1


def test_request_server_that_responded_before_is_retried(delays: list[float]) -> None:
    # The server is being restarted. A server that never responded does not exist.
    unreachable = boto.EndpointConnectionError(endpoint_url=URL)
    client = Client(LOCAL)
    wire = Wire(client, always(unreachable))
    with pytest.raises(errors.ServerUnreachable):
        get_item(client)
    assert len(wire.sent) == 3
    replies: list[Response] = [response({"Item": KEY}), *[unreachable] * 7, response({"Item": KEY})]
    wire.reply = lambda _name, _body: replies.pop(0)
    get_item(client)
    assert get_item(client)["Item"] == KEY


def test_request_frozen_time_ends_by_the_waits(delays: list[float]) -> None:
    client = Client(LOCAL)
    Wire(client, always(error_response("ThrottlingException")))
    with freeze_time("2031-05-17 12:00:00"), pytest.raises(errors.Throttled):
        get_item(client)
    assert 12 < sum(delays) <= 15


def test_request_successful_retry_returns_the_response() -> None:
    client = Client(LOCAL)
    replies: list[Response] = [
        boto.ConnectionClosedError(endpoint_url=URL),
        error_response("ThrottlingException"),
        response({"Item": KEY}),
    ]
    Wire(client, lambda _name, _body: replies.pop(0))
    assert get_item(client)["Item"] == KEY
