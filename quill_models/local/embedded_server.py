"""A DynamoDB Local of this process alone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from quill_models.local.distribution import find_or_fetch
from quill_models.local.downloads import Report
from quill_models.local.java import find_java
from quill_models.local.process import (
    JavaProcess,
    PortLostError,
    command_line,
    launch_watched,
    require_psutil,
    wait_until_ready,
)
from quill_models.values.errors import LocalServerError

__all__ = ["EmbeddedServer", "embedded", "on_a_free_port"]

T = TypeVar("T")

_ATTEMPTS: Final = 5
START_LIMIT: Final = timedelta(seconds=60)
END_PATIENCE: Final = timedelta(seconds=15)


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
    report: Report | None = None,
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
    require_psutil()
    distribution, java = find_or_fetch(local_home, report=report), find_java(java_home)
    server, running = _start(java, distribution, in_memory=in_memory, folder=folder)
    try:
        yield server
    finally:
        running.end()


@dataclass(frozen=True, kw_only=True)
class _Running:
    process: JavaProcess
    watcher: subprocess.Popen[bytes]
    scratch: Path
    owner: int

    def end(self) -> None:
        # A forked child that leaves the block leaves its parent's server alone.
        if os.getpid() != self.owner:
            return
        if self.watcher.stdin is not None:
            # A word rather than the pipe's end: forked children hold the pipe open.
            with suppress(OSError):
                self.watcher.stdin.write(b"\n")
                self.watcher.stdin.flush()
            with suppress(OSError):
                self.watcher.stdin.close()
        try:
            self.watcher.wait(END_PATIENCE.total_seconds())
        except subprocess.TimeoutExpired:
            self.watcher.kill()
            self.watcher.wait()
        # What follows is for a watcher that was killed.
        self.process.end(END_PATIENCE)
        shutil.rmtree(self.scratch, ignore_errors=True)


def _start(
    java: Path, distribution: Path, *, in_memory: bool, folder: Path | None
) -> tuple[EmbeddedServer, _Running]:
    def start(port: int) -> tuple[EmbeddedServer, _Running]:
        with _folders(folder) as (home, scratch):
            return _start_at(port, java, distribution, home, scratch, in_memory=in_memory)

    return on_a_free_port(start)


def on_a_free_port(start: Callable[[int], T]) -> T:
    """Start a server at a port that is free, and at another one where it was taken meanwhile.

    Raises:
        LocalServerError: it cannot be started.
    """
    for _ in range(_ATTEMPTS):
        try:
            return start(_free_port())
        except PortLostError:
            continue
        except OSError as error:
            raise LocalServerError(f"DynamoDB Local cannot be started: {error}") from error
    raise LocalServerError(
        f"DynamoDB Local cannot be started: {_ATTEMPTS} ports in a row were taken by others."
    )


@contextmanager
def _folders(given: Path | None) -> Iterator[tuple[Path, Path]]:
    """The folder to use, and a temporary one (the same if none is given); kept if all goes well."""
    scratch = Path(tempfile.mkdtemp(prefix="quill-dynamodb-"))
    try:
        yield (given.resolve() if given is not None else scratch), scratch
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _start_at(
    port: int, java: Path, distribution: Path, home: Path, scratch: Path, *, in_memory: bool
) -> tuple[EmbeddedServer, _Running]:
    data_dir = None if in_memory else home / "data"
    (data_dir or home).mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    command = command_line(java, port=port, data_dir=data_dir, temporary=scratch)
    watcher, process = launch_watched(command, distribution=distribution, log=log, scratch=scratch)
    running = _Running(process=process, watcher=watcher, scratch=scratch, owner=os.getpid())
    try:
        wait_until_ready(process, port=port, log=log, limit=START_LIMIT)
    except BaseException:
        running.end()
        raise
    server = EmbeddedServer(
        endpoint=f"http://127.0.0.1:{port}", port=port, pid=process.pid, data_dir=data_dir, log=log
    )
    return server, running


def _free_port() -> int:
    # Free now. Whether it still is when the server takes it, the server's start shows.
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
