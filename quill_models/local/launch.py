"""Starting a DynamoDB Local, whoever it is for."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from dataclasses import KW_ONLY, asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from quill_models.local.distribution import JAR, LIBRARIES, find_or_fetch
from quill_models.local.downloads import DownloadReport
from quill_models.local.java import find_java
from quill_models.local.owner import OWNER_LOCK
from quill_models.local.pid_file import LOG, PID_FILE, PidFile, marker_of
from quill_models.local.probe import Answer, probe
from quill_models.local.process import LAUNCHER, JavaProcess, require_psutil
from quill_models.values.clock import system_clock
from quill_models.values.errors import LocalServerError

__all__ = ["START_LIMIT", "Launch", "PortLost", "installed", "wait_until_ready"]

START_LIMIT: Final = timedelta(seconds=60)
_LAUNCH_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_LAST_LINES: Final = 12
_ATTEMPTS: Final = 5

_JVM_OPTIONS: Final = (
    "-Xms512m",
    "-Xmx1g",
    # It makes garbage by the gigabyte and keeps little of it: with room for that it answers reads a
    # third faster than with what Java gives by default.
    "-Xmn300m",
    # Smaller and no slower than the default collector on few cores. Stopping at the first
    # compiler tier would start a third of a second sooner and then do half the work per second.
    "-XX:+UseSerialGC",
    # A JVM that is killed leaves its file of these behind.
    "-XX:-UsePerfData",
)


class PortLost(LocalServerError):
    """Another process took the port first."""


def installed(
    local_home: Path | None, java_home: Path | None, report: DownloadReport | None = None
) -> tuple[Path, Path]:
    """The folder of DynamoDB Local, fetched if need be, and the program of Java."""
    require_psutil()
    return find_or_fetch(local_home, report=report), find_java(java_home)


@dataclass(frozen=True)
class Launch:
    """How a server is started, with what is `installed`.

    Attributes:
        folder: a folder that exists, for the pid file and temporary files.
        home: the folder for the log, by default the same.
        data_dir: where the data is kept; ``None`` for in memory.
        owned: whether it ends with the owner of the folder, an `OwnedFolder`; else with no process.
    """

    distribution: Path
    java: Path
    _: KW_ONLY
    folder: Path
    home: Path | None = None
    data_dir: Path | None = None
    owned: bool = True

    def on_a_free_port(self) -> PidFile:
        """Start it at a port that is free, and at another one if that was taken meanwhile."""
        for _ in range(_ATTEMPTS):
            try:
                return self.at(_free_port())
            except PortLost:
                continue
            except OSError as error:
                raise LocalServerError(f"DynamoDB Local cannot be started: {error}") from error
        raise LocalServerError(
            f"DynamoDB Local cannot be started: {_ATTEMPTS} ports in a row were taken by others."
        )

    def at(self, port: int, limit: timedelta = START_LIMIT) -> PidFile:
        """Start it, and wait until it answers.

        Raises:
            PortLost: another process has the port.
            LocalServerError: it cannot be started, or does not answer within ``limit``.
            OSError: a folder cannot be used.
        """
        log, temporary = (self.home or self.folder) / LOG, self.folder / "tmp"
        # Java keeps a copy of a library here, which a killed server leaves behind.
        shutil.rmtree(temporary, ignore_errors=True)
        for folder in (temporary, log.parent, self.data_dir or self.folder):
            folder.mkdir(parents=True, exist_ok=True)
        process = self._started(self.command(port), log)
        server = PidFile(
            **asdict(process), port=port, data_dir=self.data_dir, log=log, started_at=system_clock()
        )
        try:
            # Before it answers: whoever comes after a killed start finds the process in the file.
            server.write(self.folder)
            wait_until_ready(server, limit)
        except BaseException:
            server.end()
            (self.folder / PID_FILE).unlink(missing_ok=True)
            raise
        return server

    def command(self, port: int) -> list[str]:
        """What is run, in the folder of the distribution. It listens on all addresses."""
        storage = ["-inMemory"] if self.data_dir is None else ["-dbPath", str(self.data_dir)]
        return [
            str(self.java),
            *_JVM_OPTIONS,
            marker_of(self.folder),
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            f"-Djava.library.path=./{LIBRARIES}",
            "-jar",
            JAR,
            "-sharedDb",
            "-port",
            str(port),
            # It would report its use to AWS.
            "-disableTelemetry",
            *storage,
        ]

    def _started(self, command: list[str], log: Path) -> JavaProcess:
        lock = str(self.folder / OWNER_LOCK) if self.owned else ""
        launcher = [sys.executable, "-I", "-S", LAUNCHER, "start", lock]
        try:
            done = subprocess.run(  # noqa: S603
                [*launcher, self.distribution, log, self.folder, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_LAUNCH_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LocalServerError(f"DynamoDB Local cannot be started: {error}") from error
        said = done.stdout.decode(errors="replace").strip()
        if not said.isdecimal():
            said = said or "the launcher ended"
            raise LocalServerError(f"DynamoDB Local cannot be started: {said}")
        process = JavaProcess.running(int(said))
        if process is None:
            raise _failed("ended before it answered", log)
        return process


def wait_until_ready(server: PidFile, limit: timedelta) -> None:
    """Return when this process answers at its port as DynamoDB Local does."""
    deadline = time.monotonic() + limit.total_seconds()
    # Whoever answers may be another server, while this one is about to find the port taken.
    # And asking a port where nobody listens yet may, once in a while, take that very port.
    while not (server.listens_on(server.port) and probe(server.port) is Answer.DYNAMODB_LOCAL):
        if not server.is_alive():
            raise _failed("ended before it answered", server.log)
        if time.monotonic() > deadline:
            within = f"within {limit.total_seconds():g} seconds"
            raise _failed(f"did not answer at port {server.port} {within}", server.log)
        time.sleep(_POLL_SECONDS)


def _failed(how: str, log: Path) -> LocalServerError:
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    last = [line for line in said.splitlines() if line.strip()][-_LAST_LINES:]
    kind = PortLost if "BindException" in said else LocalServerError
    return kind("\n  ".join([f"DynamoDB Local {how}.", f"The end of its log {log}:", *last]))


def _free_port() -> int:
    # Free now. Whether it still is when the server takes it, the server's start shows.
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
