"""Responses in place of the network. Requests are signed and responses read as ever."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSResponse

from quill_models.dynamodb.client import Client

Answer = AWSResponse | Exception
Reply = Callable[[str, dict[str, Any]], Answer]


class _Body(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.getvalue()


def answer(document: dict[str, Any] | bytes, status: int = 200) -> AWSResponse:
    """A response body: a JSON document, or bytes that are not JSON."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    kind = "text/html" if isinstance(document, bytes) else "application/x-amz-json-1.0"
    return AWSResponse("http://localhost", status, {"Content-Type": kind}, _Body(content))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def refusal(code: str, status: int = 400, **more: Any) -> AWSResponse:
    """A refusal of DynamoDB with its code."""
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return answer({"__type": kind, "message": f"because of {code}", **more}, status)


def http_session(client: Any) -> Any:
    """Return the session that sends the requests of a botocore client."""
    return client._endpoint.http_session


def api_name(request: Any) -> str:
    """DynamoDB's name of a request, such as ``PutItem``."""
    target = request.headers["X-Amz-Target"]
    return (target.decode() if isinstance(target, bytes) else str(target)).partition(".")[2]


@contextmanager
def noticing(client: Any, notice: Callable[[Any], object]) -> Iterator[None]:
    """Call a function with each request that goes out in the block, each try of it."""
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


def always(reply: Answer | dict[str, Any]) -> Reply:
    """Return the same response to every request."""
    return lambda _name, _body: answer(reply) if isinstance(reply, dict) else reply


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
