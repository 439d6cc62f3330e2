"""DynamoDB Local in the background, with a folder for its state."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import platformdirs

from quill_models.local.downloads import DownloadReport
from quill_models.local.launch import START_LIMIT, Launch, PortLost, find_runtime, wait_until_ready
from quill_models.local.lock import locked
from quill_models.local.pid_file import PID_FILE, PidFile, running_in
from quill_models.local.probe import PortOwner, probe
from quill_models.values.errors import ConfigurationError, LocalServerError

__all__ = ["LocalServer", "ServerState", "ServerStatus"]

# A start keeps the lock until its server responds.
_LOCK_WAIT: Final = START_LIMIT + timedelta(seconds=30)
_SECOND_PROBE_SECONDS: Final = 5.0


class ServerState(StrEnum):
    """The state of a port, before or after a call."""

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
    """The result of a call of `LocalServer`.

    Attributes:
        state: State of the port.
        port: TCP port.
        endpoint: URL to connect to.
        state_dir: Folder of the pid file, the log and, by default, the data.
        pid: Process id of the server. If ``STOPPED``, the id of the ended process.
        data_dir: Folder of the server's data. ``None`` means in memory or no server.
        log: Log file of the server.
        started_at: Start time of the server, in UTC.
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
        """Whether a DynamoDB Local responds at the endpoint, also one that quill did not start."""
        return self.state in {
            ServerState.STARTED,
            ServerState.ALREADY_RUNNING,
            ServerState.RUNNING,
            ServerState.FOREIGN,
        }


class LocalServer:
    """A DynamoDB Local in the background.

    Data is kept in the state folder between runs. Any number of processes can make any call at
    once.

    Args:
        port: TCP port, 1 to 65535.
        state_dir: Folder for pid file, log and data, created if it is needed. Default: a folder
            for this port in the user's state folder.

    Raises:
        ConfigurationError: The port is outside 1 to 65535.
    """

    def __init__(self, port: int = 8000, *, state_dir: Path | None = None) -> None:
        if not 1 <= port <= 65_535:
            raise ConfigurationError(f"Port must be 1 to 65535, got {port}. Choose another port.")
        self.port = port
        self.endpoint = f"http://localhost:{port}"
        default = platformdirs.user_state_path("quill-models", appauthor=False)
        # A running server is identified by this path in its command line.
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
        """Start the server unless it is running, and wait until it responds.

        Args:
            local_home: `Settings.local_home`.
            java_home: `Settings.java_home`.
            data_dir: Folder of the data. Default: ``data`` in the state folder.
            in_memory: Keep the data in memory only. Excludes ``data_dir``.
            report: Called with the progress of a download, as in `find_or_fetch`.
            limit: How long to wait for a response of the server.

        Returns:
            A status with the state ``STARTED``, ``ALREADY_RUNNING`` or ``FOREIGN``. If
            ``ALREADY_RUNNING``, the server keeps the data folder of its start.

        Raises:
            ConfigurationError: Both ``data_dir`` and ``in_memory`` are given.
            LocalServerError: Another program uses the port, DynamoDB Local or Java cannot be
                found, or the server exited or does not respond.
        """
        if in_memory and data_dir is not None:
            raise ConfigurationError("in_memory excludes data_dir. Give one of them.")
        with self._locked():
            existing = self._existing(limit)
        if existing is not None:
            return existing
        # Unlocked, as a download may take minutes.
        launch = Launch(
            *find_runtime(local_home, java_home, report),
            folder=self.state_dir,
            data_dir=None if in_memory else (data_dir or self.state_dir / "data").resolve(),
            owned=False,
        )
        with self._locked():
            try:
                existing = self._existing(limit)
                return existing or self._status(ServerState.STARTED, launch.start(self.port, limit))
            except PortLost:
                # The server of a killed start may have taken the port meanwhile.
                existing = self._existing(limit)
                if existing is None:
                    raise
                return existing

    def stop(self) -> ServerStatus:
        """End the server of this state folder, and no other process.

        Returns:
            A status with the state ``STOPPED``. If this folder has no running server, the state
            of the port: ``NOT_RUNNING``, ``FOREIGN`` or ``TAKEN``.

        Raises:
            LocalServerError: The server does not end, or runs at another port.
        """
        if not self.state_dir.is_dir() and self._running() is None:
            return self._probed()
        with self._locked():
            server = self._running()
            if server is not None:
                server.end()
            self._pid_file.unlink(missing_ok=True)
            return self._probed() if server is None else self._status(ServerState.STOPPED, server)

    def status(self) -> ServerStatus:
        """Return the state of the port.

        Returns:
            A status with the state ``RUNNING``, ``NOT_RUNNING``, ``FOREIGN``, ``TAKEN``, or
            ``NOT_ANSWERING`` if this folder's server is starting or hangs.

        Raises:
            LocalServerError: The server of this state folder runs at another port.
        """
        server = self._running()
        if server is None:
            # Remove the pid file of an ended server, unless another process works in this folder.
            if self._pid_file.exists():
                with suppress(LocalServerError), self._locked(timedelta(0)):
                    if self._running() is None:
                        self._pid_file.unlink(missing_ok=True)
            return self._probed()
        up = probe(self.port) is PortOwner.DYNAMODB_LOCAL
        return self._status(ServerState.RUNNING if up else ServerState.NOT_ANSWERING, server)

    def _existing(self, limit: timedelta) -> ServerStatus | None:
        """Return the server that runs at the port, or ``None`` if the port is free."""
        server = self._running()
        if server is not None:
            wait_until_ready(server, limit)
            server.write(self.state_dir)
            return self._status(ServerState.ALREADY_RUNNING, server)
        self._pid_file.unlink(missing_ok=True)
        if probe(self.port) is PortOwner.NONE:
            return None
        if probe(self.port, timeout=_SECOND_PROBE_SECONDS) is PortOwner.DYNAMODB_LOCAL:
            return self._status(ServerState.FOREIGN)
        raise LocalServerError(
            f"Port {self.port} is used by another program. Choose another port with --port."
        )

    def _probed(self) -> ServerStatus:
        states = {
            PortOwner.NONE: ServerState.NOT_RUNNING,
            PortOwner.DYNAMODB_LOCAL: ServerState.FOREIGN,
            PortOwner.OTHER_PROGRAM: ServerState.TAKEN,
        }
        return self._status(states[probe(self.port)])

    def _running(self) -> PidFile | None:
        server = running_in(self.state_dir)
        if server is not None and server.port != self.port:
            raise LocalServerError(
                f"The server of {self.state_dir} runs at port {server.port}, not {self.port}. "
                f"Choose that port, or another state folder for port {self.port}."
            )
        return server

    def _locked(self, wait: timedelta = _LOCK_WAIT) -> AbstractContextManager[None]:
        return locked(self.state_dir / "lock", wait=wait)

    def _status(self, state: ServerState, server: PidFile | None = None) -> ServerStatus:
        names = ("pid", "data_dir", "log", "started_at")
        known = {name: getattr(server, name, None) for name in names}
        return ServerStatus(
            state=state, port=self.port, endpoint=self.endpoint, state_dir=self.state_dir, **known
        )
