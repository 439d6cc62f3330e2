"""One signed HTTP exchange with DynamoDB, without botocore's serializer, parser and hooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.exceptions import ResponseStreamingError

__all__ = ["Response", "send", "signed"]

_TARGET = "DynamoDB_20120810"
_CONTENT_TYPE = "application/x-amz-json-1.0"


class Response:
    """A response of the server.

    Attributes:
        received: The response of botocore.
        status: The HTTP status.
        headers: The headers, by names in any case.
        body: The body.
    """

    def __init__(self, received: AWSResponse) -> None:
        self.received = received
        self.status: int = received.status_code
        self.headers: Mapping[str, str] = received.headers
        self.body: bytes = received.content

    @property
    def failure(self) -> ResponseStreamingError | None:
        """The error, if the connection ended before the complete body had arrived."""
        length = self.headers.get("Content-Length")
        if length is None or int(length) == len(self.body):
            return None
        return ResponseStreamingError(error="the response was cut")

    @cached_property
    def document(self) -> dict[str, Any] | None:
        """The JSON object in the body, or None. Binary values stay in base64."""
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
        kind = str((self.document or {}).get("__type", self.status))
        return kind.partition(":")[0].rpartition("#")[2]


# The signer and the HTTP session have no public names. They are shared with PynamoDB, with their
# credentials, proxies, certificates and open connections.


def signed(client: Any, api_name: str, body: bytes) -> AWSPreparedRequest:
    """Return a request such as ``PutItem``, signed with the credentials of botocore's client."""
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
    signer = client._request_signer  # noqa: SLF001
    signer.get_auth_instance(signer.signing_name, signer.region_name).add_auth(request)
    return request.prepare()


def send(client: Any, request: AWSPreparedRequest) -> Response:
    """Send a request once over a connection of botocore's client, and read the response."""
    return Response(client._endpoint.http_session.send(request))  # noqa: SLF001
