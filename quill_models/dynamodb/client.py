"""The botocore client of one endpoint, and when a request is sent again."""

from __future__ import annotations

import base64
import json
import os
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from threading import Lock
from time import perf_counter
from typing import Any, cast

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ResponseStreamingError
from botocore.loaders import Loader, create_loader

from quill_models.dynamodb.backoff import Backoff
from quill_models.dynamodb.service_errors import no_dynamodb, translated
from quill_models.settings import Backend, Settings
from quill_models.telemetry.operations import Call, Telemetry, current_call, current_operation
from quill_models.telemetry.records import (
    CAPACITY_OPERATIONS,
    WireRequest,
    capacity_in,
    log_request,
    wants_requests,
)
from quill_models.values.clock import system_clock
from quill_models.values.errors import (
    AnswerLost,
    QuillError,
    RequestRejected,
    ServerUnreachable,
    Throttled,
)

__all__ = ["Client"]

# DynamoDB Local wants some credentials and accepts any, of letters and digits only.
_LOCAL_ACCESS_KEY = "fakeMyKeyId"
_LOCAL_SECRET_KEY = "fakeSecretAccessKey"  # noqa: S105

# On dynamodb-local nothing of the machine's AWS configuration counts: a profile that is named in
# the environment and missing in the files would otherwise stop everything.
_WITHOUT_AWS_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}

# A server on this machine that has never answered is not running: a person waits for the message.
_TRIES_WITHOUT_SERVER = 3
# The same transaction is still on its way: its answer was lost, and it was sent again before the
# server was through.
_IN_PROGRESS = "TransactionInProgressException"


# In a response of botocore's: its body has been read here, and is no longer what came.
_READ = "read_by_quill"
# In what botocore keeps of a request: when it began.
_BEGUN = "begun_for_quill"
# In an answer: what came is no JSON document.
_NO_DOCUMENT = "no_document"
_OF_REFUSALS = ("__type", "code", "message", "Message")


# What DynamoDB's answers have in any case.
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
        telemetry: who is told of each request, if anybody.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry | None = None) -> None:
        self._settings = settings
        self.telemetry = telemetry
        self._lock = Lock()
        self._botocore: BaseClient | None = None
        self._process = os.getpid()
        self._has_answered = False
        # What the last answer said the time was, and when it came.
        self._heard: tuple[str, datetime] | None = None

    @property
    def botocore(self) -> BaseClient:
        """The botocore client itself, made on first use. It sends each request once.

        Raises:
            ConfigurationError: on ``aws`` no region is known.
            AccessDenied: on ``aws`` the profile does not exist.
        """
        if self._process != os.getpid():
            # A forked process must not share its parent's connections: each would read answers
            # that are the other's. They are left open, as closing them would close the parent's.
            self._lock, self._botocore, self._process = Lock(), None, os.getpid()
        # botocore documents clients as thread-safe and the making of one as not.
        with self._lock:
            if self._botocore is None:
                try:
                    client = _connect(self._settings)
                    client.meta.events.register("before-call.dynamodb", self._begin)
                    client.meta.events.register("response-received.dynamodb", self._hear)
                    self._botocore = client
                except (BotoCoreError, ValueError) as error:
                    raise translated(error, "connect", self._settings) from error
            return self._botocore

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request of the DynamoDB API, such as ``put_item``.

        Sent again, the same to the byte, while the server throttles it, fails, or does not answer,
        until the settings' deadline. So a write has to carry what tells it that it was done
        before: a token in its item, a transaction also its ``ClientRequestToken``.

        Raises:
            ConditionFailed: the condition of a single write does not hold.
            TransactionCanceled: a transaction was not done.
            Throttled, AnswerLost, ServerUnreachable: to the deadline.
            QuillError: everything else, see `quill_models.errors`.
        """
        if self._is_watched and operation in CAPACITY_OPERATIONS:
            # For nothing: a few bytes more in the answer. Not asked where nobody wants to know.
            parameters.setdefault("ReturnConsumedCapacity", "TOTAL")
        # What goes out is in the wire format already, so that botocore's own serializer would only
        # copy it, value by value, at a third of the client's time. PynamoDB's requests over the
        # same client are no calls, and are serialized as ever.
        body = json.dumps(parameters, default=_binary, separators=(",", ":")).encode()
        url = None if self.telemetry is None else self.botocore.meta.endpoint_url
        backoff = Backoff(self._settings.deadline)
        with Call(operation, parameters, body, self.telemetry, url) as call:
            while True:
                try:
                    return self._once(call)
                except QuillError as error:
                    if not self._passes(error, backoff) or not backoff.wait(type(error).__name__):
                        raise
                call.number += 1

    @property
    def _is_watched(self) -> bool:
        return self.telemetry is not None or wants_requests()

    def _once(self, call: Call) -> dict[str, Any]:
        client, operation = self.botocore, call.name
        try:
            answer = cast("dict[str, Any]", getattr(client, operation)(**_outline(call.parameters)))
        except ClientError as error:
            self._has_answered = True
            raise translated(error, operation, self._settings) from error
        except BotoCoreError as error:
            raise translated(error, operation, self._settings) from error
        # botocore takes any answer with status 200 for a success, a captive portal's page too.
        content_type = answer["ResponseMetadata"]["HTTPHeaders"].get("content-type", "")
        if "json" not in content_type or not _is_dynamodbs(operation, answer):
            raise no_dynamodb(content_type, operation, self._settings)
        self._has_answered = True
        return answer

    def _passes(self, error: QuillError, backoff: Backoff) -> bool:
        """Whether what went wrong may pass by itself."""
        is_running = self._has_answered or self._settings.backend is Backend.AWS
        if isinstance(error, ServerUnreachable):
            return is_running or backoff.tries < _TRIES_WITHOUT_SERVER
        if isinstance(error, RequestRejected):
            return error.code == _IN_PROGRESS
        if isinstance(error, AnswerLost):
            # One that has never answered, and takes longer than the deadline, does not work.
            return is_running or not backoff.is_over
        return isinstance(error, Throttled)

    def _begin(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        call = current_call()
        if call is not None:
            params["body"] = call.body
        if self._is_watched:
            context[_BEGUN] = perf_counter(), params["body"]

    def _hear(self, response_dict: dict[str, Any] | None, **told: Any) -> None:
        # botocore takes half an answer for a whole one with nothing in it.
        is_cut = (
            response_dict is not None
            and _READ not in response_dict
            and not _is_whole(response_dict)
        )
        cut_off = ResponseStreamingError(error="the answer was cut off") if is_cut else None
        if _BEGUN in told["context"]:
            self._tell(response_dict, told, cut_off or told["exception"])
        if cut_off is not None:
            raise cut_off
        if response_dict is not None and "Date" in response_dict["headers"]:
            self._heard = response_dict["headers"]["Date"], system_clock()

    def _tell(
        self,
        response_dict: dict[str, Any] | None,
        told: dict[str, Any],
        exception: Exception | None,
    ) -> None:
        """Tell of one try, whoever made it: PynamoDB's are no calls."""
        begun, body = told["context"][_BEGUN]
        call, operation = current_call(), current_operation()
        request = WireRequest.of(
            told["event_name"].rpartition(".")[2],
            json.loads(body) if call is None else call.parameters,
            operation=None if operation is None else operation.name,
            try_number=1 if call is None else call.number,
            seconds=perf_counter() - begun,
            sent_bytes=len(body),
            response=response_dict,
            answer=told["parsed_response"],
            exception=exception,
        )
        if wants_requests():
            log_request(request)
        if self.telemetry is not None:
            if operation is not None:
                operation.count(request)
            if call is not None:
                call.last = request
                call.consumed = capacity_in(told["parsed_response"])
            self.telemetry.request(request)

    @property
    def clock_skew(self) -> timedelta | None:
        """How far this machine's clock is ahead of the server's, to about a second.

        By the last answer, which carries the server's time in whole seconds; ``None`` where there
        was none, or it said nothing of the time. No request.
        """
        if self._heard is None:
            return None
        text, came = self._heard
        try:
            # On average it is half a second past what the header says.
            said = parsedate_to_datetime(text) + timedelta(milliseconds=500)
            return came - said
        except (TypeError, ValueError):
            return None

    def credentials_source(self) -> str | None:
        """Where the credentials come from, such as ``env`` or ``iam-role``; never what they are.

        ``None`` where there are none. Asks the standard AWS chain, which may read files and ask
        the instance's metadata service.

        Raises:
            AccessDenied: a profile is named that does not exist, or cannot be used.
        """
        if self._settings.backend is Backend.LOCAL:
            return "fixed, for DynamoDB Local"
        try:
            found = _session(self._settings).get_credentials()
        except BotoCoreError as error:
            raise translated(error, "connect", self._settings) from error
        return None if found is None else str(found.method)

    def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        with self._lock:
            if self._botocore is not None:
                self._botocore.close()
                self._botocore = None


@cache
def _service_descriptions() -> Loader:
    """Botocore's descriptions of AWS's services: read once, as that is most of making a client."""
    return create_loader()


def _connect(settings: Settings) -> BaseClient:
    local = settings.backend is Backend.LOCAL
    config = Config(
        # botocore's own check of every parameter costs as much as serializing them; the server
        # checks them anyway.
        parameter_validation=False,
        connect_timeout=5,
        read_timeout=20,
        max_pool_connections=32,
        # We send again ourselves: botocore knows no deadline, and does not try all that passes.
        retries={"mode": "standard", "total_max_attempts": 1},
        # A corporate proxy in the environment must not be asked for localhost.
        proxies={} if local else None,
        # DYNAMODB_ENDPOINT alone says where to, not AWS_ENDPOINT_URL of another tool.
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    )
    session = _session(settings)
    session.register_component("data_loader", _service_descriptions())
    client = session.create_client(
        "dynamodb",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        config=config,
        aws_access_key_id=_LOCAL_ACCESS_KEY if local else None,
        aws_secret_access_key=_LOCAL_SECRET_KEY if local else None,
    )
    client.meta.events.register("before-parse.dynamodb", _read_body)
    return client


def _session(settings: Settings) -> botocore.session.Session:
    local = settings.backend is Backend.LOCAL
    return botocore.session.Session(session_vars=_WITHOUT_AWS_FILES if local else None)


def _outline(parameters: dict[str, Any]) -> dict[str, Any]:
    """Of a request what botocore wants to see, when it asks which table it is about."""
    if "RequestItems" in parameters:
        return {"RequestItems": {table: {} for table in parameters["RequestItems"]}}
    return {"TableName": parameters["TableName"]} if "TableName" in parameters else {}


def _is_dynamodbs(operation: str, answer: Any) -> bool:
    """Whether an answer is one of DynamoDB's, and not some other server's JSON."""
    if _NO_DOCUMENT in answer:
        return False
    for name in _ALWAYS.get(operation, ()):
        if not isinstance(answer, dict) or name not in answer:
            return False
        answer = answer[name]
    return True


def _is_whole(response_dict: dict[str, Any]) -> bool:
    told = response_dict["headers"].get("Content-Length")
    return told is None or int(told) == len(response_dict["body"])


def _read_body(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Read the answer to a request of ours past botocore's parser.

    That copies it value by value, which takes most of the time of a read, into what JSON has
    already, but for binary values: those stay in base64, as they came.
    """
    if current_call() is None or not _is_whole(response_dict):
        return
    failed = response_dict["status_code"] >= 300
    try:
        answer = json.loads(response_dict["body"])
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        if failed:
            return
        # botocore's parser would fall over it.
        answer = {_NO_DOCUMENT: True}
    # Of a refusal botocore still finds out which one it is.
    left = {name: answer.pop(name) for name in _OF_REFUSALS if failed and name in answer}
    customized_response_dict.update(answer)
    response_dict["body"] = json.dumps(left).encode()
    response_dict[_READ] = True


def _binary(value: Any) -> str:
    """The only type of the wire format that JSON does not have."""
    return base64.b64encode(value).decode()
