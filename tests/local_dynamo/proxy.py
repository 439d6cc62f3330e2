"""A proxy between the client and the server that loses answers, or goes away."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

__all__ = ["Proxy"]


class Proxy:
    """Passes requests on. The server has acted on a request before its answer is lost.

    Attributes:
        endpoint: the URL to connect to.
        passed: how many requests the server acted on, by operation.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self.target = (parts.hostname or "", parts.port or 80)
        self.passed: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()
        self._last: tuple[str, int] | None = None
        self._lock = Lock()
        self._gone = False
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def lose(self, operation: str, times: int = 1) -> None:
        """Lose the answers of the next requests of an operation, such as ``PutItem``."""
        self._losses[operation] += times

    def go_away_after(self, operation: str, number: int) -> None:
        """Refuse every connection once so many more requests of an operation were answered."""
        self._last = (operation, self.passed[operation] + number)

    def takes(self, operation: str) -> bool:
        """Whether this request still goes to the server."""
        with self._lock:
            if self._last == (operation, self.passed[operation]):
                self._gone = True
                # No new connection is taken from now on.
                self._server.shutdown()
                self._server.socket.close()
            if not self._gone:
                self.passed[operation] += 1
            return not self._gone

    def loses(self, operation: str) -> bool:
        """Whether the answer to this request gets lost."""
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

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.connections: list[socket.socket] = []

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self.connections.append(request)
        super().process_request(request, client_address)

    def end(self) -> None:
        for connection in self.connections:
            # Wakes the thread that waits for the next request on it.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        self.close_connection = True
        proxy = self.server.proxy
        if not proxy.takes(operation):
            return
        host, port = proxy.target
        behind = HTTPConnection(host, port, timeout=30)
        try:
            behind.request("POST", self.path, body, dict(self.headers))
            answer = behind.getresponse()
            content = answer.read()
        finally:
            behind.close()
        if proxy.loses(operation):
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = False

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing on standard error."""
