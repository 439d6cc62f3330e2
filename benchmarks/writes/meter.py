"""What goes over the wire, noted while a contender writes and looked at afterwards.

botocore's clients, PynamoDB's among them, tell of each request they send by their ``before-send``
event, retries included. What does not send by botocore notes its requests where it sends them.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Meter"]


class Meter:
    """The requests of one run: the name of each operation and the body that was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []

    def note(self, operation: str, body: bytes) -> None:
        """One request. Any thread may call this."""
        self.requests.append((operation, body))

    def listen(self, client: Any) -> None:
        """Note what a botocore client sends from now on."""
        client.meta.events.register("before-send.dynamodb", self._before_send)

    def _before_send(self, request: Any, **_: Any) -> None:
        target, body = request.headers["X-Amz-Target"], request.body
        name = target.decode() if isinstance(target, bytes) else target
        self.note(name.rpartition(".")[2], body if isinstance(body, bytes) else str(body).encode())
