"""What goes over the wire, noted while a contender writes and looked at afterwards.

The HTTP session of a botocore client sends each request, retries included: those of PynamoDB, of
this package and of botocore itself. A contender without botocore notes its requests itself.
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
        session = client._endpoint.http_session  # noqa: SLF001 -- no event covers all
        send = session.send

        def noted(request: Any) -> Any:
            target, body = request.headers["X-Amz-Target"], request.body
            name = target.decode() if isinstance(target, bytes) else target
            self.note(
                name.rpartition(".")[2], body if isinstance(body, bytes) else str(body).encode()
            )
            return send(request)

        session.send = noted
