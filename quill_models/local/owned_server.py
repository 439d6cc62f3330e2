"""Servers that end with their process or with a test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Final

from quill_models.local.downloads import DownloadReport
from quill_models.local.launch import START_LIMIT, Launch, find_runtime, wait_until_ready
from quill_models.local.lock import locked
from quill_models.local.owner import OwnedFolder
from quill_models.local.pid_file import running_in

__all__ = ["EmbeddedServer", "embedded", "shared_server"]

# The process with the lock may have to download DynamoDB Local.
_LOCK_WAIT: Final = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class EmbeddedServer:
    """A server that runs during a ``with`` block.

    Attributes:
        endpoint: URL to connect to.
        port: TCP port.
        pid: Process id.
        data_dir: Folder of the data. ``None`` means in memory.
        log: Log file.
    """

    endpoint: str
    port: int
    pid: int
    data_dir: Path | None
    log: Path


@contextmanager
def embedded(
    *,
    local_home: Path | None = None,
    java_home: Path | None = None,
    in_memory: bool = True,
    folder: Path | None = None,
    report: DownloadReport | None = None,
) -> Iterator[EmbeddedServer]:
    """Run a DynamoDB Local on a free port while the block runs.

    If this process ends inside the block, even by SIGKILL, the server ends and its temporary
    folder is removed within about a second.

    Args:
        local_home: `Settings.local_home`. See `find_or_fetch`.
        java_home: `Settings.java_home`. See `find_java`.
        in_memory: Keep the data in memory. If false, it is kept in ``data`` in the folder.
        folder: Folder to keep log and data in, created if it is missing. Default: temporary.
        report: Called with the progress of a download, as in `find_or_fetch`.

    Raises:
        LocalServerError: DynamoDB Local or Java cannot be found, or the server does not start.
    """
    runtime = find_runtime(local_home, java_home, report)
    with closing(OwnedFolder("quill-dynamodb-")) as owned:
        home = owned.path if folder is None else folder.resolve()
        data_dir = None if in_memory else home / "data"
        launch = Launch(*runtime, folder=owned.path, home=home, data_dir=data_dir)
        server = launch.start_on_free_port()
        known = {each.name: getattr(server, each.name) for each in fields(EmbeddedServer)}
        yield EmbeddedServer(**known)


def shared_server(folder: Path, *, local_home: Path | None, java_home: Path | None) -> str:
    """Return the endpoint of the one server of an `OwnedFolder`.

    The first call, from any process, starts the server on a free port, with its data in memory.
    The server ends with the owner of the folder, not with the process that started it.

    Args:
        folder: Path of an `OwnedFolder`, of this process or another.
        local_home: `Settings.local_home`, used by the first call.
        java_home: `Settings.java_home`, used by the first call.

    Raises:
        LocalServerError: DynamoDB Local or Java cannot be found, or the server does not start.
    """
    with locked(folder / "start", wait=_LOCK_WAIT):
        server = running_in(folder)
        if server is None:
            runtime = find_runtime(local_home, java_home)
            server = Launch(*runtime, folder=folder).start_on_free_port()
        else:
            wait_until_ready(server, START_LIMIT)
        return server.endpoint
