"""The server of a benchmark: a new DynamoDB Local, or an existing server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from quill_models import Settings
from quill_models.local import embedded

__all__ = ["OpenServer", "Server", "given_server", "new_server"]


@dataclass(frozen=True)
class Server:
    """A server.

    Attributes:
        endpoint: URL of the server.
        name: Description for the report.
        pid: Process id; ``None`` if unknown.
    """

    endpoint: str
    name: str
    pid: int | None = None

    def cpu_seconds(self) -> float | None:
        """Return its CPU time with all threads and the kernel's work; ``None`` if unknown."""
        if self.pid is None:
            return None
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)


OpenServer = Callable[[], AbstractContextManager[Server]]


@contextmanager
def new_server() -> Iterator[Server]:
    """Run a DynamoDB Local in memory during the block."""
    settings = Settings.load()
    with embedded(local_home=settings.local_home, java_home=settings.java_home) as server:
        yield Server(server.endpoint, _name(server.log), server.pid)


def given_server(endpoint: str) -> OpenServer:
    """Return a function that opens an existing server and leaves it running."""

    @contextmanager
    def opened() -> Iterator[Server]:
        yield Server(endpoint, "the server at DYNAMODB_ENDPOINT")

    return opened


def _name(log: Path) -> str:
    found = re.search(r"^Version:\s*(\S+)", log.read_text(errors="replace"), re.MULTILINE)
    return f"DynamoDB Local {found[1]}, in memory" if found else "DynamoDB Local, in memory"
