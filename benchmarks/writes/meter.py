"""Requests, recorded while a contender writes and counted afterwards.

The HTTP session of a botocore client sends each request, including the retries of PynamoDB, of this
package and of botocore itself. A contender without botocore records its requests itself.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Meter"]


class Meter:
    """The requests of one run: the name of each operation and the body that was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []

    def record(self, operation: str, body: bytes) -> None:
        """Record a request. This is thread-safe."""
        self.requests.append((operation, body))

    def attach(self, client: Any) -> None:
        """Record each request that a botocore client sends from now on."""
        session = client._endpoint.http_session  # noqa: SLF001 -- no event covers all
        send = session.send

        def recording_send(request: Any) -> Any:
            target, body = request.headers["X-Amz-Target"], request.body
            name = target.decode() if isinstance(target, bytes) else target
            self.record(
                name.rpartition(".")[2], body if isinstance(body, bytes) else str(body).encode()
            )
            return send(request)

        session.send = recording_send
