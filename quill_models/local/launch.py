"""The start of a DynamoDB Local process."""

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
from quill_models.local.probe import PortOwner, probe
from quill_models.local.process import LAUNCHER, JavaProcess, require_psutil
from quill_models.values.clock import system_clock
from quill_models.values.errors import LocalServerError

__all__ = ["START_LIMIT", "Launch", "PortLost", "find_runtime", "wait_until_ready"]

START_LIMIT: Final = timedelta(seconds=60)
_LAUNCH_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_LAST_LINES: Final = 12
_ATTEMPTS: Final = 5

_JVM_OPTIONS: Final = (
    "-Xms512m",
    "-Xmx1g",
    # DynamoDB Local allocates gigabytes and keeps little. With a young generation of this size, it
    # serves reads a third faster than with Java's default.
    "-Xmn300m",
    # Smaller than the default collector, and as fast on few cores. With the first compiler tier
    # alone, the start would take a third of a second less, but throughput would halve.
    "-XX:+UseSerialGC",
    # A killed JVM would leave its file of performance data behind.
    "-XX:-UsePerfData",
)


class PortLost(LocalServerError):
    """Another process uses the port."""


def find_runtime(
    local_home: Path | None, java_home: Path | None, report: DownloadReport | None = None
) -> tuple[Path, Path]:
    """Return the folder of DynamoDB Local, downloaded if it is missing, and the Java program."""
    require_psutil()
    return find_or_fetch(local_home, report=report), find_java(java_home)


@dataclass(frozen=True)
class Launch:
    """The options of a start, with the paths from `find_runtime`.

    Attributes:
        folder: An existing folder for the pid file and temporary files.
        owned: Whether the server ends with the owner of the folder, an `OwnedFolder`. If not, it
            outlives every process.
        home: Folder of the log. Default: ``folder``.
        data_dir: Folder of the data. ``None`` means in memory.
    """

    distribution: Path
    java: Path
    _: KW_ONLY
    folder: Path
    owned: bool = True
    home: Path | None = None
    data_dir: Path | None = None

    def start_on_free_port(self) -> PidFile:
        """Start the server on a free port. Retry with another one if a process takes it first."""
        for _ in range(_ATTEMPTS):
            try:
                return self.start(_free_port())
            except PortLost:
                continue
            except OSError as error:
                raise _cannot_start(error) from error
        raise _cannot_start(f"other programs took {_ATTEMPTS} free ports in a row")

    def start(self, port: int, limit: timedelta = START_LIMIT) -> PidFile:
        """Start the server, and wait until it responds.

        Raises:
            PortLost: Another process uses the port.
            LocalServerError: The server exited, or did not respond within ``limit``.
            OSError: A folder cannot be used.
        """
        log, temporary = (self.home or self.folder) / LOG, self.folder / "tmp"
        # A killed server leaves a copy of a library in this folder.
        shutil.rmtree(temporary, ignore_errors=True)
        for folder in (temporary, log.parent, self.data_dir or self.folder):
            folder.mkdir(parents=True, exist_ok=True)
        process = self._launch(self.command(port), log)
        server = PidFile(
            **asdict(process), port=port, data_dir=self.data_dir, log=log, started_at=system_clock()
        )
        try:
            # Written before the server responds, so that it can be found if this start is killed.
            server.write(self.folder)
            wait_until_ready(server, limit)
        except BaseException:
            server.end()
            (self.folder / PID_FILE).unlink(missing_ok=True)
            raise
        return server

    def command(self, port: int) -> list[str]:
        """Return the command, for the distribution's folder. It listens on all addresses."""
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
            # By default the server sends usage data to AWS.
            "-disableTelemetry",
            *storage,
        ]

    def _launch(self, command: list[str], log: Path) -> JavaProcess:
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
            raise _cannot_start(error) from error
        output = done.stdout.decode(errors="replace").strip()
        if not output.isdecimal():
            raise _cannot_start(output or "the launcher printed no process id")
        process = JavaProcess.running(int(output))
        if process is None:
            raise _failed("exited before it responded", log)
        return process


def wait_until_ready(server: PidFile, limit: timedelta) -> None:
    """Wait until this process responds at its port like DynamoDB Local."""
    deadline = time.monotonic() + limit.total_seconds()
    # Another server may respond at the port just before this one fails to bind it. And a probe of
    # a port without a listener can, rarely, occupy that port itself.
    while not (server.listens_on(server.port) and probe(server.port) is PortOwner.DYNAMODB_LOCAL):
        if not server.is_alive():
            raise _failed("exited before it responded", server.log)
        if time.monotonic() > deadline:
            seconds = f"{limit.total_seconds():g} seconds"
            raise _failed(f"did not respond at port {server.port} within {seconds}", server.log)
        time.sleep(_POLL_SECONDS)


def _cannot_start(reason: object) -> LocalServerError:
    return LocalServerError(f"DynamoDB Local cannot start: {reason}. Fix the cause, then retry.")


def _failed(how: str, log: Path) -> LocalServerError:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    last = [line for line in text.splitlines() if line.strip()][-_LAST_LINES:]
    kind = PortLost if "BindException" in text else LocalServerError
    first = f"DynamoDB Local {how}. Fix the cause, then retry. The end of its log {log}:"
    return kind("\n  ".join([first, *last]))


def _free_port() -> int:
    # Another process can take the port before the server does: `start_on_free_port` retries.
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
