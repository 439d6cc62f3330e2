"""A DynamoDB Local in the background, with a folder that holds its state."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import platformdirs

from quill_models.local.downloads import DownloadReport
from quill_models.local.launch import START_LIMIT, Launch, PortLost, installed, wait_until_ready
from quill_models.local.lock import locked
from quill_models.local.pid_file import PID_FILE, PidFile, running_in
from quill_models.local.probe import Answer, probe
from quill_models.values.errors import ConfigurationError, LocalServerError

__all__ = ["LocalServer", "ServerState", "ServerStatus"]

# A start that holds the lock waits this long for its server.
_LOCK_WAIT: Final = START_LIMIT + timedelta(seconds=30)
_SECOND_LOOK_SECONDS: Final = 5.0


class ServerState(StrEnum):
    """What is at a port, or what a call has made of it."""

    STARTED = "started"
    ALREADY_RUNNING = "already running"
    RUNNING = "running"
    NOT_ANSWERING = "not answering"
    STOPPED = "stopped"
    NOT_RUNNING = "not running"
    FOREIGN = "answered by a DynamoDB Local that quill did not start"
    TAKEN = "taken by another program"


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """What a call found or did.

    Attributes:
        state: in one word or few.
        port: the TCP port.
        endpoint: the URL to connect to.
        state_dir: the folder of the pid file, the log and by default the data.
        pid: the server's process id; with ``STOPPED`` the one it had.
        data_dir: where that server keeps its data, ``None`` for in memory or where there is none.
        log: that server's log file.
        started_at: when that server was started, in UTC.
    """

    state: ServerState
    port: int
    endpoint: str
    state_dir: Path
    pid: int | None = None
    data_dir: Path | None = None
    log: Path | None = None
    started_at: datetime | None = None

    @property
    def is_up(self) -> bool:
        """Whether a DynamoDB Local, whosever it is, answers at the endpoint."""
        return self.state in {
            ServerState.STARTED,
            ServerState.ALREADY_RUNNING,
            ServerState.RUNNING,
            ServerState.FOREIGN,
        }


class LocalServer:
    """DynamoDB Local in the background, one for each state folder and port.

    Its data is kept in the state folder between runs. All calls may be made from any number of
    processes at once.

    Args:
        port: the TCP port, 1 to 65535.
        state_dir: the folder for pid file, log and data; by default this port's in the user's
            state folder. Made when it is needed.

    Raises:
        ConfigurationError: there is no such port.
    """

    def __init__(self, port: int = 8000, *, state_dir: Path | None = None) -> None:
        if not 1 <= port <= 65_535:
            raise ConfigurationError(f"The port is {port}; allowed is 1 to 65535.")
        self.port = port
        self.endpoint = f"http://localhost:{port}"
        default = platformdirs.user_state_path("quill-models", appauthor=False)
        # Resolved, as the folder is part of what a running server is known by.
        self.state_dir = (state_dir or default / f"dynamodb-local-{port}").resolve()
        self._pid_file = self.state_dir / PID_FILE

    def start(
        self,
        *,
        local_home: Path | None = None,
        java_home: Path | None = None,
        data_dir: Path | None = None,
        in_memory: bool = False,
        report: DownloadReport | None = None,
        limit: timedelta = START_LIMIT,
    ) -> ServerStatus:
        """Start the server unless it is running, and wait until it answers.

        Args:
            local_home: `Settings.local_home`.
            java_home: `Settings.java_home`.
            data_dir: where to keep the data, by default ``data`` in the state folder.
            in_memory: keep no data at all; not to be combined with ``data_dir``.
            report: told how a download of DynamoDB Local gets on, see `find_or_fetch`.
            limit: how long the server may take to answer.

        Returns:
            ``STARTED``, ``ALREADY_RUNNING`` (with the data folder it was started with, whatever
            is asked for now) or ``FOREIGN``.

        Raises:
            ConfigurationError: ``data_dir`` together with ``in_memory``.
            LocalServerError: the port is taken by another program, DynamoDB Local or Java cannot
                be found, or the server ended or does not answer.
        """
        if in_memory and data_dir is not None:
            raise ConfigurationError("A server in memory has no data folder: give one of the two.")
        with self._alone():
            present = self._present(limit)
        if present is not None:
            return present
        # Unlocked, as a download may take minutes.
        launch = Launch(
            *installed(local_home, java_home, report),
            folder=self.state_dir,
            data_dir=None if in_memory else (data_dir or self.state_dir / "data").resolve(),
            owned=False,
        )
        with self._alone():
            try:
                present = self._present(limit)
                return present or self._status(ServerState.STARTED, launch.at(self.port, limit))
            except PortLost:
                # Someone took it meanwhile: maybe the late server of a start that was killed.
                present = self._present(limit)
                if present is None:
                    raise
                return present

    def stop(self) -> ServerStatus:
        """End the server of this state folder, and no other process.

        Returns:
            ``STOPPED``; or ``NOT_RUNNING``, ``FOREIGN`` or ``TAKEN`` where there was nothing to
            stop, for what is at the port.

        Raises:
            LocalServerError: the server does not end, or runs at another port.
        """
        if not self.state_dir.is_dir() and self._running() is None:
            return self._others()
        with self._alone():
            server = self._running()
            if server is not None:
                server.end()
            self._pid_file.unlink(missing_ok=True)
            return self._others() if server is None else self._status(ServerState.STOPPED, server)

    def status(self) -> ServerStatus:
        """What is at the port: any state but ``STARTED``, ``ALREADY_RUNNING`` and ``STOPPED``.

        ``NOT_ANSWERING`` is this state folder's server while it starts, or hangs.

        Raises:
            LocalServerError: the server of this state folder runs at another port.
        """
        server = self._running()
        if server is None:
            # A file that names no server goes, unless another process is at work here.
            if self._pid_file.exists():
                with suppress(LocalServerError), self._alone(timedelta(0)):
                    if self._running() is None:
                        self._pid_file.unlink(missing_ok=True)
            return self._others()
        answers = probe(self.port) is Answer.DYNAMODB_LOCAL
        return self._status(ServerState.RUNNING if answers else ServerState.NOT_ANSWERING, server)

    def _present(self, limit: timedelta) -> ServerStatus | None:
        """Who is there already; ``None`` if the port is free."""
        server = self._running()
        if server is not None:
            wait_until_ready(server, limit)
            server.write(self.state_dir)
            return self._status(ServerState.ALREADY_RUNNING, server)
        self._pid_file.unlink(missing_ok=True)
        if probe(self.port) is Answer.NOBODY:
            return None
        if probe(self.port, timeout=_SECOND_LOOK_SECONDS) is Answer.DYNAMODB_LOCAL:
            return self._status(ServerState.FOREIGN)
        raise LocalServerError(
            f"Port {self.port} is taken by another program; choose another with --port."
        )

    def _others(self) -> ServerStatus:
        states = {
            Answer.NOBODY: ServerState.NOT_RUNNING,
            Answer.DYNAMODB_LOCAL: ServerState.FOREIGN,
            Answer.ANOTHER_PROGRAM: ServerState.TAKEN,
        }
        return self._status(states[probe(self.port)])

    def _running(self) -> PidFile | None:
        server = running_in(self.state_dir)
        if server is not None and server.port != self.port:
            raise LocalServerError(
                f"The server of {self.state_dir} runs at port {server.port}, not {self.port}. "
                f"Name that port, or another state folder for port {self.port}."
            )
        return server

    def _alone(self, wait: timedelta = _LOCK_WAIT) -> AbstractContextManager[None]:
        return locked(self.state_dir / "lock", wait=wait)

    def _status(self, state: ServerState, server: PidFile | None = None) -> ServerStatus:
        names = ("pid", "data_dir", "log", "started_at")
        known = {name: getattr(server, name, None) for name in names}
        return ServerStatus(
            state=state, port=self.port, endpoint=self.endpoint, state_dir=self.state_dir, **known
        )
