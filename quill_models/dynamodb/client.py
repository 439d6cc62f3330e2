"""Requests to one endpoint, with retries until the deadline, errors and telemetry."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError

from quill_models.dynamodb.backoff import Backoff
from quill_models.dynamodb.connection import Connection
from quill_models.dynamodb.service_errors import not_dynamodb, refused, translated
from quill_models.dynamodb.transport import Response, send, signed
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

# A local server that has never responded is not running, and a person waits for the message.
_TRIES_WITHOUT_SERVER = 3
# The same transaction is still in progress: its response was lost, and it was retried too early.
_IN_PROGRESS = "TransactionInProgressException"
# The content that each response of DynamoDB has.
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
        self._settings, self.telemetry = settings, telemetry
        self._connection = Connection(settings, self._before_send)
        self._has_responded = False
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

        From the last response. None if there was none, or it had no time. Cost: no request.
        """
        if self._server_time is None:
            return None
        text, arrived = self._server_time
        try:
            # The header has whole seconds, so the time is half a second later on average.
            return arrived - (parsedate_to_datetime(text) + timedelta(milliseconds=500))
        except (TypeError, ValueError):
            return None

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send one request of the DynamoDB API, such as ``put_item``.

        The identical request is retried while the server throttles it, fails, or does not respond,
        until the deadline of the settings. So a write must be recognisable: by a token in its
        item, a transaction also by its ``ClientRequestToken``.

        Raises:
            ConditionFailed: The condition of a single write failed.
            TransactionCanceled: A transaction was cancelled.
            Throttled, AnswerLost, ServerUnreachable: The deadline has passed.
            QuillError: Any other error, see `quill_models.errors`.
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
                    if not self._may_succeed(error, backoff) or not backoff.wait(
                        type(error).__name__
                    ):
                        raise
                request.number += 1

    def _once(self, request: Request) -> dict[str, Any]:
        """Send a request once and return the document of the response."""
        try:
            response = self._exchange(
                request, lambda: signed(self.botocore, request.api_name, request.body)
            )
        except BotoCoreError as error:
            raise translated(error, request.name, self._settings) from error
        if response.status >= 300:
            self._has_responded = True
            raise refused(response, request.name, self._settings)
        document, content_type = response.document, response.headers.get("Content-Type", "")
        # The page of a captive portal also has status 200.
        if (
            document is None
            or "json" not in content_type
            or not _is_from_dynamodb(request.name, document)
        ):
            raise not_dynamodb(content_type, request.name, self._settings)
        self._has_responded = True
        return document

    def _exchange(self, request: Request, prepare: Callable[[], AWSPreparedRequest]) -> Response:
        """Send a request once, read the response, and report both to telemetry."""
        began = time.perf_counter()
        try:
            response = send(self.botocore, prepare())
        except BotoCoreError as error:
            if is_watched(self.telemetry):
                request.tried(began, None, {}, {}, error)
            raise
        failure = response.failure
        if is_watched(self.telemetry):
            document = {} if failure else response.document or {}
            error_or_code = failure or response.code
            request.tried(began, response.status, response.headers, document, error_or_code)
        if failure is not None:
            raise failure
        if "Date" in response.headers:
            self._server_time = response.headers["Date"], system_clock()
        return response

    def _may_succeed(self, error: QuillError, backoff: Backoff) -> bool:
        """Return whether a retry may succeed."""
        is_running = self._has_responded or self._settings.backend is Backend.AWS
        if isinstance(error, ServerUnreachable):
            return is_running or backoff.tries < _TRIES_WITHOUT_SERVER
        if isinstance(error, RequestRejected):
            return error.code == _IN_PROGRESS
        if isinstance(error, AnswerLost):
            # A server that has never responded and exceeds the deadline does not work.
            return is_running or not backoff.deadline_has_passed
        return isinstance(error, Throttled)

    def _before_send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        """Send a request of PynamoDB or of a user in place of botocore.

        Botocore treats a part of a response as a complete one without content.
        """
        body: Any = request.body
        parameters = json.loads(body) if is_watched(self.telemetry) else {}
        ours = Request(event_name.rpartition(".")[2], parameters, self.telemetry, None)
        ours.body = body
        return self._exchange(ours, lambda: request).received


def _is_from_dynamodb(operation: str, document: Any) -> bool:
    """Return whether a response is from DynamoDB, and not JSON of another server."""
    for name in _ALWAYS.get(operation, ()):
        if not isinstance(document, dict) or name not in document:
            return False
        document = document[name]
    return True
