"""One signed HTTP exchange with DynamoDB, past botocore's serializer, parser and event hooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ResponseStreamingError

__all__ = ["Response", "send"]

_TARGET = "DynamoDB_20120810"
_CONTENT_TYPE = "application/x-amz-json-1.0"


@dataclass
class Response:
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
    def failure(self) -> ResponseStreamingError | None:
        """The error, if the connection ended before the complete body had arrived."""
        length = self.headers.get("Content-Length")
        if length is None or int(length) == len(self.body):
            return None
        return ResponseStreamingError(error="the answer was cut off")

    @cached_property
    def answer(self) -> dict[str, Any] | None:
        """The JSON object in the body, if it is one. Binary values stay in base64."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    @property
    def code(self) -> str | None:
        """DynamoDB's code, or the HTTP status if there is none; None for a success."""
        if self.status < 300:
            return None
        kind = str((self.answer or {}).get("__type", self.status))
        return kind.partition(":")[0].rpartition("#")[2]


def send(client: Any, api_name: str, body: bytes) -> Response:
    """Send one request, once, and read the response.

    Args:
        client: Botocore's client, over whose connections and with whose credentials it is sent.
        api_name: DynamoDB's name of the request, such as ``PutItem``.
        body: The request as JSON.

    Raises:
        BotoCoreError: There are no credentials, or no response arrived.
    """
    # Signer and HTTP session have no public names. They are shared, so that credentials are
    # looked up once, and proxies, certificates and open connections are those of PynamoDB.
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
    return Response(received.status_code, received.headers, received.content)
