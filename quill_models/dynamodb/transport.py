"""One signed HTTP exchange with DynamoDB, past botocore's serializer, parser and event hooks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from botocore.awsrequest import AWSRequest

from quill_models.dynamodb.connection import Connection
from quill_models.values.clock import system_clock

__all__ = ["Response", "Transport"]

_TARGET = "DynamoDB_20120810"
_CONTENT_TYPE = "application/x-amz-json-1.0"


class Response(NamedTuple):
    """A response of the server.

    Attributes:
        status: The HTTP status.
        headers: The headers; case does not matter.
        body: The body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_cut(self) -> bool:
        """Whether the connection ended before the complete body had arrived."""
        length = self.headers.get("Content-Length")
        return length is not None and int(length) != len(self.body)


class Transport:
    """Sends requests over the connections of botocore's client, signed with its credentials."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # The server's time in the last response, and when that arrived.
        self._server_time: tuple[str, datetime] | None = None

    def send(self, api_name: str, body: bytes) -> Response:
        """Send one request, once, and read the response.

        Args:
            api_name: DynamoDB's name of the request, such as ``PutItem``.
            body: The request as JSON.

        Raises:
            BotoCoreError: There are no credentials, or no response arrived.
        """
        # Signer and HTTP session have no public names. They are shared, so that credentials are
        # looked up once, and proxies, certificates and open connections are those of PynamoDB.
        client: Any = self._connection.botocore
        signer, session = client._request_signer, client._endpoint.http_session  # noqa: SLF001
        request = AWSRequest(
            "POST",
            f"{client.meta.endpoint_url.rstrip('/')}/",
            {
                "X-Amz-Target": f"{_TARGET}.{api_name}",
                "Content-Type": _CONTENT_TYPE,
                "User-Agent": client.meta.config.user_agent,
            },
            body,
        )
        signer.get_auth_instance(signer.signing_name, signer.region_name).add_auth(request)
        received = session.send(request.prepare())
        response = Response(received.status_code, received.headers, received.content)
        if not response.is_cut:
            self.take_time(response)
        return response

    def take_time(self, response: Response) -> None:
        """Keep the server's time in a response."""
        if "Date" in response.headers:
            self._server_time = response.headers["Date"], system_clock()

    @property
    def clock_skew(self) -> timedelta | None:
        """How far this machine's clock is ahead of the server's, as far as it is known."""
        if self._server_time is None:
            return None
        text, arrived = self._server_time
        try:
            # On average it is half a second past what the header says.
            return arrived - (parsedate_to_datetime(text) + timedelta(milliseconds=500))
        except (TypeError, ValueError):
            return None
