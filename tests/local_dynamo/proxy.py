"""A proxy between client and server that loses or changes responses, or stops."""

from __future__ import annotations

import socket
import sys
from collections import Counter, defaultdict
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from tests.local_dynamo.faults import Fault, Faults, Response

__all__ = ["Proxy"]


class Proxy:
    """Forwards requests. The server has acted on a request before its response is lost.

    Attributes:
        endpoint: The URL of the proxy.
        passed: Number of requests that the server acted on, by operation.
        faults: Chooses random faults; none by default.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self.target = (parts.hostname or "", parts.port or 80)
        self.passed: Counter[str] = Counter()
        self.faults = Faults(0)
        self._losses: Counter[str] = Counter()
        self._due: defaultdict[str, list[Fault]] = defaultdict(list)
        self._last: tuple[str, int] | None = None
        self._lock = Lock()
        self._stopped = False
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def lose(self, operation: str, times: int = 1) -> None:
        """Lose the responses to the next requests of an operation, such as ``PutItem``."""
        self._losses[operation] += times

    def disturb(self, operation: str, fault: Fault, times: int = 1) -> None:
        """Apply a fault to the next requests of an operation."""
        self._due[operation] += [fault] * times

    def stop_after(self, operation: str, number: int) -> None:
        """Refuse every connection after a number of further responses of an operation."""
        self._last = (operation, self.passed[operation] + number)

    def fault(self, operation: str) -> Fault | None:
        """Return the fault of a request."""
        with self._lock:
            if self._due[operation]:
                return self._due[operation].pop()
        return self.faults.next()

    def forwards(self, operation: str) -> bool:
        """Return whether a request is forwarded to the server."""
        with self._lock:
            if self._last == (operation, self.passed[operation]):
                self._stopped = True
                # Accept no new connection.
                self._server.shutdown()
                self._server.socket.close()
            if not self._stopped:
                self.passed[operation] += 1
            return not self._stopped

    def loses(self, operation: str) -> bool:
        """Return whether the response to a request is lost."""
        with self._lock:
            lost = self._losses[operation] > 0
            self._losses[operation] -= lost
            return lost

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.end()


class _Server(ThreadingHTTPServer):
    proxy: Proxy
    # Disconnected clients reconnect at the same time.
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connections: set[socket.socket] = set()
        self._lock = Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Tests close connections on purpose.
        if not isinstance(sys.exception(), OSError | HTTPException):
            super().handle_error(request, client_address)

    def end(self) -> None:
        with self._lock:
            for connection in self._connections:
                # Wakes the thread that waits for the next request on it.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """A connection of a client, and its connection to the server."""

    protocol_version = "HTTP/1.1"
    # One write: in two, the second would wait for the receipt of the first.
    wbufsize = -1
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        super().setup()
        self.upstream = HTTPConnection(*self.server.proxy.target, timeout=30)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        proxy = self.server.proxy
        fault = proxy.fault(operation)
        response: Response | None = None
        # An early return closes the connection.
        self.close_connection = True
        if fault is None or fault.after:
            if not proxy.forwards(operation):
                return
            response = self._forward(body)
            if fault is Fault.LOST or proxy.loses(operation):
                return
        if fault is not None:
            response = proxy.faults.response(fault) or response
        if response is not None:
            self._respond(response, in_full=fault is not Fault.CUT_MIDWAY)

    def _forward(self, body: bytes) -> Response:
        self.upstream.request("POST", self.path, body, dict(self.headers))
        response = self.upstream.getresponse()
        return Response(response.status, dict(response.getheaders()), response.read())

    def _respond(self, response: Response, *, in_full: bool) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        length = len(response.content)
        self.wfile.write(response.content[: length if in_full else length // 2])
        self.close_connection = not in_full

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Print no log."""
