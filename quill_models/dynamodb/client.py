"""Requests to one endpoint: retries until the deadline, errors of ours, and what is observed."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ResponseStreamingError

from quill_models.dynamodb.backoff import Backoff
from quill_models.dynamodb.connection import Connection
from quill_models.dynamodb.service_errors import error_code, no_dynamodb, refused, translated
from quill_models.dynamodb.transport import Response, Transport
from quill_models.settings import Backend, Settings
from quill_models.telemetry.operations import Request, Telemetry, is_watched
from quill_models.telemetry.records import REQUESTS_WITH_CAPACITY
from quill_models.values.errors import (
    AnswerLost,
    QuillError,
    RequestRejected,
    ServerUnreachable,
    Throttled,
)

__all__ = ["Client"]

# A local server that has never responded is not running: a person waits for the message.
_TRIES_WITHOUT_SERVER = 3
# The same transaction is still in progress: its response was lost, and it was retried too early.
_IN_PROGRESS = "TransactionInProgressException"
# The key under which botocore keeps when a request of PynamoDB began, and its body.
_BEGUN = "begun_for_quill"

# What DynamoDB's responses have in any case.
_ALWAYS = {
    "batch_get_item": ("Responses",),
    "describe_table": ("Table", "TableStatus"),
    "describe_time_to_live": ("TimeToLiveDescription",),
    "query": ("Count",),
    "scan": ("Count",),
}


class Client:
    """Requests to one endpoint. Makes no connection before the first request; thread-safe.

    Attributes:
        telemetry: Follows each request, if any.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry | None = None) -> None:
        self._settings = settings
        self.telemetry = telemetry
        self._connection = Connection(settings, self._watch)
        self._transport = Transport(self._connection)
        self._has_answered = False
        self.credentials_source = self._connection.credentials_source
        self.close = self._connection.close

    @property
    def botocore(self) -> BaseClient:
        """The botocore client, for PynamoDB and for requests of users; see `Connection`."""
        return self._connection.botocore

    @property
    def clock_skew(self) -> timedelta | None:
        """How far this machine's clock is ahead of the server's, to about a second.

        By the last response, which has the server's time in whole seconds; None if there was none,
        or it had no time. No request.
        """
        return self._transport.clock_skew

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request of the DynamoDB API, such as ``put_item``.

        Retried, the same to the byte, while the server throttles it, fails, or does not respond,
        until the settings' deadline. So a write must carry what identifies it as done before: a
        token in its item, a transaction also its ``ClientRequestToken``.

        Raises:
            ConditionFailed: The condition of a single write does not hold.
            TransactionCanceled: A transaction was not done.
            Throttled, AnswerLost, ServerUnreachable: To the deadline.
            QuillError: Everything else, see `quill_models.errors`.
        """
        url = None if self.telemetry is None else self.botocore.meta.endpoint_url
        request = Request(operation, parameters, self.telemetry, url)
        if request.api_name in REQUESTS_WITH_CAPACITY and is_watched(self.telemetry):
            # Free of charge: a few more bytes in the response.
            parameters.setdefault("ReturnConsumedCapacity", "TOTAL")
        request.body = json.dumps(parameters, default=_binary, separators=(",", ":")).encode()
        started, backoff = time.monotonic(), None
        with request:
            while True:
                try:
                    return self._once(request)
                except QuillError as error:
                    backoff = backoff or Backoff(self._settings.deadline, started, request)
                    if not self._passes(error, backoff) or not backoff.wait(type(error).__name__):
                        raise
                request.number += 1

    def _once(self, request: Request) -> dict[str, Any]:
        """Send a request once, and take in the response."""
        began = time.perf_counter()
        response: Response | None = None
        answer: dict[str, Any] | None = None
        failure: BotoCoreError | None = None
        try:
            response = self._transport.send(request.api_name, request.body)
            if response.is_cut:
                failure = _cut_off()
            else:
                answer = _document(response.body)
        except BotoCoreError as error:
            failure = error
        if is_watched(self.telemetry):
            code = None if response is None else error_code(response.status, answer)
            request.tried(began, response, answer or {}, failure or code)
        if response is None or failure is not None:
            raise translated(failure, request.name, self._settings) from failure
        if response.status >= 300:
            self._has_answered = True
            raise refused(response.status, response.body, answer, request.name, self._settings)
        # A captive portal's page has status 200, too.
        content_type = response.headers.get("Content-Type", "")
        if answer is None or "json" not in content_type or not _is_dynamodbs(request.name, answer):
            raise no_dynamodb(content_type, request.name, self._settings)
        self._has_answered = True
        return answer

    def _passes(self, error: QuillError, backoff: Backoff) -> bool:
        """Whether a retry may help."""
        is_running = self._has_answered or self._settings.backend is Backend.AWS
        if isinstance(error, ServerUnreachable):
            return is_running or backoff.tries < _TRIES_WITHOUT_SERVER
        if isinstance(error, RequestRejected):
            return error.code == _IN_PROGRESS
        if isinstance(error, AnswerLost):
            # A server that has never responded, and takes longer than the deadline, does not work.
            return is_running or not backoff.is_over
        return isinstance(error, Throttled)

    # Requests of PynamoDB and of users, over botocore.

    def _watch(self, client: BaseClient) -> None:
        client.meta.events.register("before-call.dynamodb", self._before_call)
        client.meta.events.register("response-received.dynamodb", self._received)

    def _before_call(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if is_watched(self.telemetry):
            context[_BEGUN] = time.perf_counter(), params["body"]

    def _received(
        self,
        response_dict: dict[str, Any] | None,
        context: dict[str, Any],
        event_name: str,
        **event: Any,
    ) -> None:
        response: Response | None = None
        if (given := response_dict) is not None:
            response = Response(given["status_code"], given["headers"], given["body"])
        # botocore takes a part of a response for a complete one without content.
        cut_off = _cut_off() if response is not None and response.is_cut else None
        if _BEGUN in context:
            began, body = context[_BEGUN]
            request = Request(event_name.rpartition(".")[2], json.loads(body), self.telemetry, None)
            request.body = body
            answer = event["parsed_response"] or {}
            failure = cut_off or event["exception"] or answer.get("Error", {}).get("Code")
            request.tried(began, response, answer, failure)
        if cut_off is not None:
            raise cut_off
        if response is not None:
            self._transport.take_time(response)


def _document(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a response, if it is one. Binary values stay in base64."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _cut_off() -> ResponseStreamingError:
    return ResponseStreamingError(error="the answer was cut off")


def _is_dynamodbs(operation: str, answer: Any) -> bool:
    """Whether a response is DynamoDB's, and not some other server's JSON."""
    for name in _ALWAYS.get(operation, ()):
        if not isinstance(answer, dict) or name not in answer:
            return False
        answer = answer[name]
    return True


def _binary(value: Any) -> str:
    """The only type of the wire format that JSON does not have."""
    return base64.b64encode(value).decode()
