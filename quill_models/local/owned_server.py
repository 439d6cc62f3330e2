"""Servers that end with a process: of its own, or of a test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Final

from quill_models.local.downloads import DownloadReport
from quill_models.local.launch import START_LIMIT, Launch, installed, wait_until_ready
from quill_models.local.lock import locked
from quill_models.local.owner import OwnedFolder
from quill_models.local.pid_file import running_in

__all__ = ["EmbeddedServer", "embedded", "shared_server"]

# The first to come may have DynamoDB Local to fetch.
_PATIENCE: Final = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class EmbeddedServer:
    """A server that runs as long as its ``with`` block.

    Attributes:
        endpoint: the URL to connect to.
        port: its TCP port.
        pid: its process id.
        data_dir: where it keeps its data, ``None`` for in memory.
        log: its log file.
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
    """Run a DynamoDB Local on a free port until the block is left.

    It also ends, and its temporary folder goes, when this process ends without leaving the block,
    be it by SIGKILL: within about a second.

    Args:
        local_home: `Settings.local_home`; without it one that was fetched before, or is now.
        java_home: `Settings.java_home`; without it Java is looked for on the path, then in the
            extra ``local``.
        in_memory: keep no data; else it is kept in ``data`` below the folder.
        folder: a folder for log and data, made if need be, that stays; by default a temporary one.
        report: told how a download of DynamoDB Local gets on, see `find_or_fetch`.

    Raises:
        LocalServerError: DynamoDB Local or Java cannot be found, or it does not start.
    """
    needed = installed(local_home, java_home, report)
    with closing(OwnedFolder("quill-dynamodb-")) as owned:
        home = owned.path if folder is None else folder.resolve()
        data_dir = None if in_memory else home / "data"
        server = Launch(*needed, folder=owned.path, home=home, data_dir=data_dir).on_a_free_port()
        known = {each.name: getattr(server, each.name) for each in fields(EmbeddedServer)}
        yield EmbeddedServer(**known)


def shared_server(folder: Path, *, local_home: Path | None, java_home: Path | None) -> str:
    """The endpoint of the one server of an `OwnedFolder`, this process's or another one's.

    Who asks first starts it, on a free port, with the ``local_home`` and the ``java_home`` of its
    settings. It keeps its data in memory, and ends with the owner of the folder, not with the
    process that started it.

    Raises:
        LocalServerError: DynamoDB Local or Java cannot be found, or it does not start.
    """
    with locked(folder / "start", wait=_PATIENCE):
        server = running_in(folder)
        if server is None:
            server = Launch(*installed(local_home, java_home), folder=folder).on_a_free_port()
        else:
            wait_until_ready(server, START_LIMIT)
        return server.endpoint
