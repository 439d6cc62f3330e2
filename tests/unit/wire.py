"""A replacement for the network. Requests are signed and responses parsed as usual."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSResponse

from quill_models.dynamodb.client import Client

Response = AWSResponse | Exception
Reply = Callable[[str, dict[str, Any]], Response]


class _Body(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.getvalue()


def response(document: dict[str, Any] | bytes, status: int = 200) -> AWSResponse:
    """Return a response with a JSON document, or with bytes that are not JSON."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    kind = "text/html" if isinstance(document, bytes) else "application/x-amz-json-1.0"
    return AWSResponse("http://localhost", status, {"Content-Type": kind}, _Body(content))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def error_response(code: str, status: int = 400, **more: Any) -> AWSResponse:
    """Return an error response of DynamoDB with a code."""
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return response({"__type": kind, "message": f"because of {code}", **more}, status)


def http_session(client: Any) -> Any:
    """Return the session that sends the requests of a botocore client."""
    return client._endpoint.http_session


def api_name(request: Any) -> str:
    """Return the API name of a request, such as ``PutItem``."""
    target = request.headers["X-Amz-Target"]
    return (target.decode() if isinstance(target, bytes) else str(target)).partition(".")[2]


@contextmanager
def noticing(client: Any, notice: Callable[[Any], object]) -> Iterator[None]:
    """Call a function with each request sent in the block, including each retry."""
    session = http_session(client)
    send = session.send

    def noticed(request: Any) -> Any:
        notice(request)
        return send(request)

    session.send = noticed
    try:
        yield
    finally:
        session.send = send


class Wire:
    """Replaces the network, and records the requests."""

    def __init__(self, client: Client, reply: Reply) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.reply = reply
        http_session(client.botocore).send = self._send

    def _send(self, request: Any) -> AWSResponse:
        name, body = api_name(request), json.loads(request.body)
        self.sent.append((name, body))
        reply = self.reply(name, body)
        if isinstance(reply, Exception):
            raise reply
        return reply


def always(reply: Response | dict[str, Any]) -> Reply:
    """Return the same response to every request."""
    return lambda _name, _body: response(reply) if isinstance(reply, dict) else reply


def closed_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
