"""A DynamoDB Local in the background, with a folder that holds its state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import platformdirs

from quill_models.local.distribution import find_or_fetch
from quill_models.local.downloads import Report
from quill_models.local.java import find_java
from quill_models.local.lock import locked
from quill_models.local.probe import Answer, probe
from quill_models.local.process import (
    JavaProcess,
    PortLostError,
    command_line,
    find_by_argument,
    launch_detached,
    require_psutil,
    wait_until_ready,
)
from quill_models.values.clock import system_clock
from quill_models.values.errors import ConfigurationError, LocalServerError

__all__ = ["LocalServer", "ServerState", "ServerStatus"]

_START_LIMIT: Final = timedelta(seconds=60)
# A start that holds the lock waits this long for its server.
_LOCK_WAIT: Final = _START_LIMIT + timedelta(seconds=30)
_STOP_PATIENCE: Final = timedelta(seconds=10)
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


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What the pid file says, of a process that is known to be alive."""

    process: JavaProcess
    port: int
    data_dir: Path | None
    started_at: datetime


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
        self._pid_file = self.state_dir / "server.json"
        self._log = self.state_dir / "server.log"
        self._marker = f"-Dquill.state={self.state_dir}"

    def start(
        self,
        *,
        local_home: Path | None = None,
        java_home: Path | None = None,
        data_dir: Path | None = None,
        in_memory: bool = False,
        report: Report | None = None,
        limit: timedelta = _START_LIMIT,
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
        require_psutil()
        with self._alone():
            present = self._present(limit)
        if present is not None:
            return present
        # Unlocked, as a download may take minutes.
        distribution, java = find_or_fetch(local_home, report=report), find_java(java_home)
        with self._alone():
            present = self._present(limit)
            if present is not None:
                return present
            kept = None if in_memory else (data_dir or self.state_dir / "data").resolve()
            return self._launch(java, distribution, kept, limit)

    def stop(self) -> ServerStatus:
        """End the server of this state folder, and no other process.

        Returns:
            ``STOPPED``; or ``NOT_RUNNING``, ``FOREIGN`` or ``TAKEN`` where there was nothing to
            stop, for what is at the port.

        Raises:
            LocalServerError: the server does not end, or runs at another port.
        """
        require_psutil()
        if not self.state_dir.is_dir() and self._running() is None:
            return self._others()
        with self._alone():
            record = self._running()
            if record is not None:
                record.process.end(_STOP_PATIENCE)
            self._pid_file.unlink(missing_ok=True)
            if record is None:
                return self._others()
            return self._status(ServerState.STOPPED, record)

    def status(self) -> ServerStatus:
        """What is at the port: any state but ``STARTED``, ``ALREADY_RUNNING`` and ``STOPPED``.

        ``NOT_ANSWERING`` is this state folder's server while it starts, or hangs.

        Raises:
            LocalServerError: the server of this state folder runs at another port.
        """
        require_psutil()
        record = self._running()
        if record is None:
            self._remove_stale()
            return self._others()
        answers = probe(self.port) is Answer.DYNAMODB_LOCAL
        return self._status(ServerState.RUNNING if answers else ServerState.NOT_ANSWERING, record)

    def _launch(
        self, java: Path, distribution: Path, data_dir: Path | None, limit: timedelta
    ) -> ServerStatus:
        if data_dir is not None:
            data_dir.mkdir(parents=True, exist_ok=True)
        temporary = self.state_dir / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        command = command_line(
            java, port=self.port, data_dir=data_dir, temporary=temporary, marker=self._marker
        )
        process = launch_detached(command, distribution=distribution, log=self._log)
        record = _Record(
            process=process, port=self.port, data_dir=data_dir, started_at=system_clock()
        )
        try:
            # Before it answers: whoever comes after a killed start finds the process in the file.
            self._write(record)
            wait_until_ready(process, port=self.port, log=self._log, limit=limit)
        except BaseException as error:
            process.end(_STOP_PATIENCE)
            self._pid_file.unlink(missing_ok=True)
            # Someone took the port since it was looked at: maybe a start that was killed, whose
            # server came up late.
            present = self._present(limit) if isinstance(error, PortLostError) else None
            if present is not None:
                return present
            raise
        return self._status(ServerState.STARTED, record)

    def _present(self, limit: timedelta) -> ServerStatus | None:
        """Who is there already; ``None`` where the port is free."""
        record = self._running()
        if record is not None:
            wait_until_ready(record.process, port=self.port, log=self._log, limit=limit)
            self._write(record)
            return self._status(ServerState.ALREADY_RUNNING, record)
        self._pid_file.unlink(missing_ok=True)
        return None if probe(self.port) is Answer.NOBODY else self._foreign_or_raise()

    def _foreign_or_raise(self) -> ServerStatus:
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

    def _running(self) -> _Record | None:
        record = self._from_file() or self._from_processes()
        if record is not None and record.port != self.port:
            raise LocalServerError(
                f"The server of {self.state_dir} runs at port {record.port}, not {self.port}. "
                f"Name that port, or another state folder for port {self.port}."
            )
        return record

    def _from_file(self) -> _Record | None:
        """The server of the pid file, if it is the one that was started."""
        try:
            said = json.loads(self._pid_file.read_text(encoding="utf-8"))
            record = _Record(
                process=JavaProcess(int(said["pid"]), float(said["created"])),
                port=int(said["port"]),
                data_dir=Path(said["data_dir"]) if said["data_dir"] else None,
                started_at=datetime.fromisoformat(said["started_at"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if self._marker in record.process.arguments() else None

    def _from_processes(self) -> _Record | None:
        """The server that a killed start left without a pid file, or whose file was removed."""
        process = find_by_argument(self._marker)
        arguments = process.arguments() if process is not None else []
        if process is None or not arguments:
            return None
        option = dict(zip(arguments, [*arguments[1:], ""], strict=True))
        return _Record(
            process=process,
            port=int(option["-port"]),
            data_dir=Path(option["-dbPath"]) if "-dbPath" in option else None,
            started_at=datetime.fromtimestamp(process.created, UTC),
        )

    def _write(self, record: _Record) -> None:
        said = {
            "pid": record.process.pid,
            "created": record.process.created,
            "port": record.port,
            "data_dir": str(record.data_dir) if record.data_dir else None,
            "log": str(self._log),
            "started_at": record.started_at.isoformat(),
        }
        new = self._pid_file.with_suffix(".new")
        new.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        new.replace(self._pid_file)

    def _remove_stale(self) -> None:
        """Remove a pid file that names no server, unless another process is at work here."""
        if self._pid_file.exists():
            with suppress(LocalServerError), self._alone(wait=timedelta(0)):
                if self._running() is None:
                    self._pid_file.unlink(missing_ok=True)

    @contextmanager
    def _alone(self, *, wait: timedelta = _LOCK_WAIT) -> Iterator[None]:
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            with locked(self.state_dir / "lock", wait=wait):
                yield
        except OSError as error:
            raise LocalServerError(f"{self.state_dir} cannot be used: {error}") from error

    def _status(self, state: ServerState, record: _Record | None = None) -> ServerStatus:
        status = ServerStatus(
            state=state, port=self.port, endpoint=self.endpoint, state_dir=self.state_dir
        )
        if record is None:
            return status
        return replace(
            status,
            pid=record.process.pid,
            data_dir=record.data_dir,
            log=self._log,
            started_at=record.started_at,
        )
