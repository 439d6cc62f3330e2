"""The botocore client of one endpoint, and the one place that translates botocore's errors."""

from __future__ import annotations

import os
import random
import time
from functools import cache
from threading import Lock
from typing import Any, cast

import botocore.exceptions
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader, create_loader

from quill_models.errors import (
    AccessDenied,
    AnswerLost,
    ConfigurationError,
    QuillError,
    RequestRejected,
    ServerUnreachable,
    TableNotFound,
    Throttled,
)
from quill_models.settings import Backend, Settings

__all__ = ["Client", "ConditionFailed", "TransactionCanceled"]

RawItem = dict[str, dict[str, Any]]

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

_CONFLICT = "TransactionConflictException"
_CONFLICT_TRIES = 8
_CONFLICT_SECONDS = 0.02

_THROTTLED = {
    _CONFLICT,
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "LimitExceededException",
}
_DENIED = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
}
_NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.SSOError,
)
_UNREACHABLE = (
    botocore.exceptions.EndpointConnectionError,
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.ProxyConnectionError,
    botocore.exceptions.SSLError,
)
_NO_ANSWER = (
    botocore.exceptions.ConnectionClosedError,
    botocore.exceptions.ReadTimeoutError,
    botocore.exceptions.ResponseStreamingError,
    # What is left of this family once the request is on its way.
    botocore.exceptions.HTTPClientError,
)


class ConditionFailed(QuillError):
    """A condition kept a single write out. Repositories turn it into an outcome.

    Attributes:
        item: the item as it is stored, ``None`` where there is none.
    """

    def __init__(self, item: RawItem | None) -> None:
        self.item = item
        super().__init__("the condition of the write does not hold")


class TransactionCanceled(QuillError):
    """A transaction was not done. Repositories turn it into outcomes.

    Attributes:
        reasons: for each action its code (``None`` for one that was not at fault) and the item
            as it is stored, where a condition failed and there is one.
    """

    def __init__(self, reasons: list[tuple[str | None, RawItem | None]]) -> None:
        self.reasons = reasons
        codes = ", ".join(sorted({code for code, _ in reasons if code}))
        super().__init__(f"the transaction was canceled: {codes}")


class Client:
    """Requests to one endpoint. Makes no connection before the first request; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._botocore: BaseClient | None = None
        self._process = os.getpid()

    @property
    def botocore(self) -> BaseClient:
        """The botocore client itself, made on first use.

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
                    self._botocore = _connect(self._settings)
                except (BotoCoreError, ValueError) as error:
                    raise self._translated(error, "connect") from error
            return self._botocore

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request of the DynamoDB API, such as ``put_item``, retried as botocore does.

        Raises:
            ConditionFailed: the condition of a single write does not hold.
            TransactionCanceled: a transaction was not done.
            QuillError: everything else, see `quill_models.errors`.
        """
        for attempt in range(_CONFLICT_TRIES):
            try:
                answer = cast("dict[str, Any]", getattr(self.botocore, operation)(**parameters))
                break
            except (BotoCoreError, ClientError) as error:
                # A plain write while a transaction is at the same item; botocore does not try
                # that again.
                if _is_conflict(error) and attempt < _CONFLICT_TRIES - 1:
                    time.sleep(random.uniform(0, _CONFLICT_SECONDS * 2**attempt))  # noqa: S311
                    continue
                raise self._translated(error, operation) from error
        # botocore takes any answer with status 200 for a success, a captive portal's page too.
        content_type = answer["ResponseMetadata"]["HTTPHeaders"].get("content-type", "")
        if "json" not in content_type:
            raise RequestRejected(
                f"What answers at {self._settings.endpoint or 'AWS'} is no DynamoDB: its answer to "
                f"{operation} is {content_type or 'of no type'}. Check DYNAMODB_ENDPOINT.",
                code="NoDynamoDB",
            )
        return answer

    def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        with self._lock:
            if self._botocore is not None:
                self._botocore.close()
                self._botocore = None

    def _translated(self, error: Exception, operation: str) -> QuillError:
        if isinstance(error, ClientError):
            return self._service_error(error, operation)
        where = self._settings.endpoint or f"AWS ({self._settings.region or 'default region'})"
        if isinstance(error, botocore.exceptions.NoRegionError):
            return ConfigurationError(
                "DATA_BACKEND is 'aws' and no region is known. Set AWS_REGION, or a region in "
                "the AWS profile."
            )
        if isinstance(error, _NO_CREDENTIALS):
            return AccessDenied(
                f"No usable AWS credentials were found: {error}. The standard AWS chain is asked "
                "(environment, profile, container or instance role); DATA_BACKEND=dynamodb-local "
                "needs none."
            )
        if isinstance(error, _UNREACHABLE):
            return ServerUnreachable(self._unreachable(where, error))
        if isinstance(error, _NO_ANSWER):
            return AnswerLost(
                f"{where} took the request {operation} but its answer did not arrive: {error}. "
                "Whether it was done is not known; sending it again is safe."
            )
        return RequestRejected(f"{operation} at {where} failed: {error}", code="ClientError")

    def _unreachable(self, where: str, error: Exception) -> str:
        if self._settings.backend is Backend.AWS:
            return f"No answer from {where}: {error}. Check the region, the network and the VPC."
        return (
            f"No DynamoDB answers at {where} (DYNAMODB_ENDPOINT). Three ways to start one:\n"
            "  docker compose up -d      with Docker\n"
            "  quill local start         without Docker\n"
            "  DYNAMODB_ENDPOINT=…       for one that runs elsewhere"
        )

    def _service_error(self, error: ClientError, operation: str) -> QuillError:
        response = cast("dict[str, Any]", error.response)
        code = str(response.get("Error", {}).get("Code", "Unknown"))
        message = response.get("Error", {}).get("Message") or response.get("message") or code
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if "<html" in message.lower():
            where = self._settings.endpoint or "AWS"
            message = f"a web page with status {status}. Is it DynamoDB that answers at {where}?"
        table = self._settings.table
        if code == "ConditionalCheckFailedException":
            return ConditionFailed(response.get("Item"))
        if code == "TransactionCanceledException":
            return TransactionCanceled(
                [
                    (None if reason["Code"] == "None" else reason["Code"], reason.get("Item"))
                    for reason in response.get("CancellationReasons", [])
                ]
            )
        if code == "ResourceNotFoundException":
            return TableNotFound(
                f"The table {table!r} does not exist at "
                f"{self._settings.endpoint or 'AWS'}. Create it with: quill schema apply"
            )
        if code in _THROTTLED:
            return Throttled(f"{operation} on {table!r} was throttled to the end: {message}")
        if code in _DENIED:
            return AccessDenied(f"{operation} on {table!r} is not allowed: {message}")
        if status >= 500:
            return AnswerLost(
                f"{operation} on {table!r} failed in the server: {message}. "
                "Whether it was done is not known; sending it again is safe."
            )
        return RequestRejected(
            f"DynamoDB refused {operation} on {table!r}: {code}: {message}", code=code
        )


def _is_conflict(error: Exception) -> bool:
    return (
        isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == _CONFLICT
    )


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
        retries={"mode": "standard", "total_max_attempts": 4},
        # A corporate proxy in the environment must not be asked for localhost.
        proxies={} if local else None,
        # DYNAMODB_ENDPOINT alone says where to, not AWS_ENDPOINT_URL of another tool.
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]
    )
    session = botocore.session.Session(session_vars=_WITHOUT_AWS_FILES if local else None)
    session.register_component("data_loader", _service_descriptions())
    return session.create_client(
        "dynamodb",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        config=config,
        aws_access_key_id=_LOCAL_ACCESS_KEY if local else None,
        aws_secret_access_key=_LOCAL_SECRET_KEY if local else None,
    )
