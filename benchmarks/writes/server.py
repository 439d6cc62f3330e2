"""The DynamoDB that is written to: a new DynamoDB Local, or one that is given."""

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
    """Where it is, and what.

    Attributes:
        endpoint: its URL.
        name: for people.
        pid: its process, where that is known.
    """

    endpoint: str
    name: str
    pid: int | None = None

    def cpu_seconds(self) -> float | None:
        """What it used so far, all its threads and the system's work for it; if that is known."""
        if self.pid is None:
            return None
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)


OpenServer = Callable[[], AbstractContextManager[Server]]


@contextmanager
def new_server() -> Iterator[Server]:
    """A DynamoDB Local in memory, for as long as the block runs."""
    settings = Settings.load()
    with embedded(local_home=settings.local_home, java_home=settings.java_home) as server:
        yield Server(server.endpoint, _name(server.log), server.pid)


def given_server(endpoint: str) -> OpenServer:
    """One that runs already, and goes on."""

    @contextmanager
    def opened() -> Iterator[Server]:
        yield Server(endpoint, "the DynamoDB that DYNAMODB_ENDPOINT names")

    return opened


def _name(log: Path) -> str:
    # It says so when it starts.
    found = re.search(r"^Version:\s*(\S+)", log.read_text(errors="replace"), re.MULTILINE)
    return f"DynamoDB Local {found[1]}, in memory" if found else "DynamoDB Local, in memory"
