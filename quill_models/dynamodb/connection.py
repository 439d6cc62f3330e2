"""The botocore client of one endpoint: session, region and credentials."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader
from botocore.session import Session

from quill_models.dynamodb.service_errors import translated
from quill_models.settings import Backend, Settings

__all__ = ["Connection"]

# DynamoDB Local accepts any credentials of letters and digits.
_LOCAL_KEYS = "fakeMyKeyId", "fakeSecretAccessKey"
# On dynamodb-local, the AWS configuration of the machine is ignored. Otherwise a profile that is
# set in the environment but missing in the files would fail every request.
_WITHOUT_AWS_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class Connection:
    """The botocore client of each process, created on first use. Thread-safe.

    ``before_send`` sends its requests in place of botocore.
    """

    def __init__(self, settings: Settings, before_send: Callable[..., Any]) -> None:
        self._settings, self._before_send = settings, before_send
        self._lock = Lock()
        self._botocore: BaseClient | None = None
        self._process = os.getpid()

    @property
    def botocore(self) -> BaseClient:
        """The botocore client, created on first use. It sends each request once.

        Raises:
            ConfigurationError: There is no region on ``aws``.
            AccessDenied: The profile does not exist on ``aws``.
        """
        if self._process != os.getpid():
            # A forked process must not share the connections of its parent, because each would
            # read responses to the other. They stay open, since closing would end the parent's.
            self._lock, self._botocore, self._process = Lock(), None, os.getpid()
        # botocore documents that clients are thread-safe, but not their creation.
        with self._lock:
            if self._botocore is None:
                try:
                    client = _connect(self._settings)
                except (BotoCoreError, ValueError) as error:
                    raise translated(error, "connect", self._settings) from error
                client.meta.events.register("before-send.dynamodb", self._before_send)
                self._botocore = client
            return self._botocore

    def credentials_source(self) -> str | None:
        """Return the origin of the credentials, such as ``env`` or ``iam-role``, or None.

        The standard AWS chain may send requests to the metadata service of the instance.

        Raises:
            AccessDenied: The profile does not exist, or cannot be used.
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


# Botocore's service descriptions, read once, which is most of the work of creating a client.
_service_descriptions = cache(create_loader)


def _connect(settings: Settings) -> BaseClient:
    is_local = settings.backend is Backend.LOCAL
    access_key, secret_key = _LOCAL_KEYS if is_local else (None, None)
    config = Config(
        # The server checks the parameters of PynamoDB's requests anyway.
        parameter_validation=False,
        connect_timeout=5,
        read_timeout=20,
        max_pool_connections=32,
        # `Client` retries: botocore has no deadline and does not retry every transient error.
        retries={"mode": "standard", "total_max_attempts": 1},
        # Requests to localhost must not go to a proxy of the environment.
        proxies={} if is_local else None,
        # DYNAMODB_ENDPOINT alone sets the endpoint, not AWS_ENDPOINT_URL of another tool.
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    )
    return _session(settings).create_client(
        "dynamodb",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        config=config,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )


def _session(settings: Settings) -> Session:
    is_local = settings.backend is Backend.LOCAL
    session = Session(session_vars=_WITHOUT_AWS_FILES if is_local else None)
    session.register_component("data_loader", _service_descriptions())
    return session
