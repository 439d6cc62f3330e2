"""Requests to one endpoint: retries until the deadline, errors of ours, and what is observed."""

from __future__ import annotations

import base64
import json
import time
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError
from botocore.model import OperationModel

from quill_models.dynamodb.backoff import Backoff
from quill_models.dynamodb.connection import Connection
from quill_models.dynamodb.service_errors import no_dynamodb, refused, translated
from quill_models.dynamodb.transport import Response, send
from quill_models.settings import Backend, Settings
from quill_models.telemetry.operations import Request, Telemetry, is_watched
from quill_models.telemetry.records import REQUESTS_WITH_CAPACITY
from quill_models.values.clock import system_clock
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
# The key under which botocore keeps a request of PynamoDB, and when it began.
_BEGUN = "begun_for_quill"

# What DynamoDB's responses have in any case.
_ALWAYS = {
    "batch_get_item": ("Responses",),
    "describe_table": ("Table", "TableStatus"),
    "describe_time_to_live": ("TimeToLiveDescription",),
    "query": ("Count",),
    "scan": ("Count",),
}
# Bytes are the only type of the wire format that JSON does not have.
_as_json = json.JSONEncoder(
    default=lambda value: base64.b64encode(value).decode(), separators=(",", ":")
).encode


class Client:
    """Requests to one endpoint. Makes no connection before the first request; thread-safe.

    Attributes:
        telemetry: Follows each request, if any.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry | None = None) -> None:
        self._settings = settings
        self.telemetry = telemetry
        self._connection = Connection(settings, self._watch)
        self._has_answered = False
        # The server's time in the last response, and when that arrived.
        self._server_time: tuple[str, datetime] | None = None
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
        if self._server_time is None:
            return None
        text, arrived = self._server_time
        try:
            # On average it is half a second past what the header says.
            return arrived - (parsedate_to_datetime(text) + timedelta(milliseconds=500))
        except (TypeError, ValueError):
            return None

    def _take_time(self, response: Response) -> None:
        if "Date" in response.headers:
            self._server_time = response.headers["Date"], system_clock()

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
        request.body = _as_json(parameters).encode()
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
        failure: BotoCoreError | None = None
        try:
            response = send(self.botocore, request.api_name, request.body)
            failure = response.failure
        except BotoCoreError as error:
            failure = error
        if is_watched(self.telemetry):
            _tell(request, began, response, failure)
        if response is None or failure is not None:
            raise translated(failure, request.name, self._settings) from failure
        self._take_time(response)
        if response.status >= 300:
            self._has_answered = True
            raise refused(response, request.name, self._settings)
        answer, content_type = response.answer, response.headers.get("Content-Type", "")
        # A captive portal's page has status 200, too.
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

    def _before_call(
        self, model: OperationModel, params: dict[str, Any], context: dict[str, Any], **_: Any
    ) -> None:
        if is_watched(self.telemetry):
            request = Request(model.name, json.loads(params["body"]), self.telemetry, None)
            request.body = params["body"]
            context[_BEGUN] = request, time.perf_counter()

    def _received(
        self,
        response_dict: dict[str, Any] | None,
        exception: Exception | None,
        context: dict[str, Any],
        **_: Any,
    ) -> None:
        response: Response | None = None
        if (given := response_dict) is not None:
            response = Response(given["status_code"], given["headers"], given["body"])
        # botocore takes a part of a response for a complete one without content.
        failure = None if response is None else response.failure
        if _BEGUN in context:
            request, began = context[_BEGUN]
            _tell(request, began, response, failure or exception)
        if failure is not None:
            raise failure
        if response is not None:
            self._take_time(response)


def _tell(
    request: Request, began: float, response: Response | None, failure: Exception | None
) -> None:
    if response is None:
        request.tried(began, None, {}, {}, failure)
    else:
        answer = (response.answer if failure is None else None) or {}
        request.tried(began, response.status, response.headers, answer, failure or response.code)


def _is_dynamodbs(operation: str, answer: Any) -> bool:
    """Whether a response is DynamoDB's, and not some other server's JSON."""
    for name in _ALWAYS.get(operation, ()):
        if not isinstance(answer, dict) or name not in answer:
            return False
        answer = answer[name]
    return True
