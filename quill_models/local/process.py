"""A DynamoDB Local process: starting it, knowing it again, ending it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from quill_models.local.distribution import JAR, LIBRARIES
from quill_models.local.probe import Answer, probe
from quill_models.values.errors import LocalServerError

__all__ = [
    "JavaProcess",
    "PortLostError",
    "command_line",
    "find_by_argument",
    "launch_detached",
    "launch_held",
    "launch_watched",
    "require_psutil",
    "wait_until_ready",
]

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_LAUNCH_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_LAST_LINES: Final = 12

# Clocks that are set move the time at which a process seems to have been created.
_SAME_CREATION_SECONDS: Final = 2.0

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


class _OptionalPsutil:
    """psutil, imported at first use: only who runs DynamoDB Local needs it."""

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(importlib.import_module("psutil"), name)
        except ImportError as error:
            raise LocalServerError(
                "Starting and stopping DynamoDB Local needs the package psutil. "
                "Run pip install 'quill-models[local]'."
            ) from error


if TYPE_CHECKING:
    import psutil
else:
    psutil = _OptionalPsutil()


class PortLostError(LocalServerError):
    """Another process took the port first."""


@dataclass(frozen=True)
class JavaProcess:
    """One process, told apart from a later one that got the same pid.

    Attributes:
        pid: the process id.
        created: when the system created it, in seconds since 1970.
    """

    pid: int
    created: float

    @classmethod
    def running(cls, pid: int) -> JavaProcess | None:
        """The process that has this pid now, if any."""
        with _translated():
            try:
                process = cls(pid, psutil.Process(pid).create_time())
            except psutil.NoSuchProcess:
                return None
        return process if process.is_alive() else None

    def is_alive(self) -> bool:
        """Whether this process, and no other of its pid, is still running."""
        return self._found() is not None

    def arguments(self) -> list[str]:
        """Its command line; empty where it is not alive, or not this user's to know."""
        found = self._found()
        try:
            return found.cmdline() if found is not None else []
        except psutil.Error:
            return []

    def listens_on(self, port: int) -> bool:
        """Whether it is this process that answers at a port."""
        found = self._found()
        if found is None:
            return False
        try:
            listening = found.net_connections("tcp")
        except psutil.AccessDenied:
            # A hardened system. Whether someone answers is then all that can be known.
            return True
        except psutil.Error:
            return False
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for connection in listening
        )

    def end(self, patience: timedelta) -> None:
        """End it if it is alive: ask it to, and after ``patience`` make it.

        Raises:
            LocalServerError: the system does not allow it, or it does not end.
        """
        for signal in ("terminate", "kill"):
            found = self._found()
            if found is None:
                return
            with _translated(), suppress(psutil.NoSuchProcess):
                getattr(found, signal)()
            if self.ends_within(patience):
                return
        raise LocalServerError(f"DynamoDB Local, process {self.pid}, does not end.")

    def ends_within(self, patience: timedelta) -> bool:
        """Wait for its end, so long at most; whether it came."""
        # Not by way of psutil's own wait: where nobody asks after dead processes, as in a
        # container whose first process is no init, that one waits for ever.
        deadline = time.monotonic() + patience.total_seconds()
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _found(self) -> psutil.Process | None:
        with _translated():
            try:
                process = psutil.Process(self.pid)
                same = abs(process.create_time() - self.created) < _SAME_CREATION_SECONDS
                # A zombie is a dead process that its parent has not asked after.
                return process if same and process.status() != psutil.STATUS_ZOMBIE else None
            except psutil.NoSuchProcess:
                return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psutil.Error as error:
        raise LocalServerError(f"The system does not let DynamoDB Local be managed: {error}") from (
            error
        )


def require_psutil() -> None:
    """Fail before any work is done.

    Raises:
        LocalServerError: psutil is not installed.
    """
    _ = psutil.Error


def find_by_argument(argument: str) -> JavaProcess | None:
    """The running process of this user that was started with an argument, if there is one."""
    with _translated():
        for process in psutil.process_iter(["cmdline", "create_time"]):
            words = process.info["cmdline"] or ()
            # The launcher has the whole command among its own arguments.
            if argument in words and str(_LAUNCHER) not in words:
                found = JavaProcess(process.pid, process.info["create_time"])
                if found.is_alive():
                    return found
    return None


def command_line(
    java: Path, *, port: int, data_dir: Path | None, temporary: Path, marker: str | None = None
) -> list[str]:
    """The command that runs a server, in the folder of the distribution.

    Args:
        java: the Java program.
        port: the TCP port. DynamoDB Local listens on all of the machine's addresses.
        data_dir: where the data is kept, a folder that exists; ``None`` for in memory.
        temporary: a folder that exists, for a copy of a library that a killed server leaves behind.
        marker: a further argument, without effect, to know the process by.
    """
    storage = ["-inMemory"] if data_dir is None else ["-dbPath", str(data_dir)]
    return [
        str(java),
        *_JVM_OPTIONS,
        *([marker] if marker else []),
        f"-Djava.io.tmpdir={temporary}",
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


def launch_detached(command: list[str], *, distribution: Path, log: Path) -> JavaProcess:
    """Start a server that outlives this process. It does not answer yet.

    Raises:
        LocalServerError: it could not be started.
    """
    return _started(_launcher("detached", distribution, log, None, command, owner=os.getpid()), log)


def launch_held(
    command: list[str], *, distribution: Path, log: Path, scratch: Path, lock: Path
) -> JavaProcess:
    """Start a server that outlives this process, and ends with whoever holds a lock.

    Args:
        command: from `command_line`.
        distribution: the folder to run it in.
        log: the file for its output.
        scratch: a folder to remove when the server has ended.
        lock: a file that another process has locked (by ``fcntl.lockf`` where there is such).

    Raises:
        LocalServerError: it could not be started.
    """
    return _started(_launcher("held", distribution, log, scratch, command, owner=lock), log)


def launch_watched(
    command: list[str], *, distribution: Path, log: Path, scratch: Path | None
) -> tuple[subprocess.Popen[bytes], JavaProcess]:
    """Start a server that ends with this process, however this process ends.

    Args:
        command: from `command_line`.
        distribution: the folder to run it in.
        log: the file for its output.
        scratch: a folder to remove when the server has ended.

    Returns:
        The process that watches, which ends the server when its standard input brings a byte or
        its end; and the server, which does not answer yet.

    Raises:
        LocalServerError: it could not be started.
    """
    try:
        watcher = subprocess.Popen(  # noqa: S603
            _launcher("watched", distribution, log, scratch, command, owner=os.getpid()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C reaches this process, which then ends the server in its own time.
            start_new_session=True,
        )
    except OSError as error:
        raise LocalServerError(f"DynamoDB Local cannot be started: {error}") from error
    try:
        with _pipe(watcher.stdout) as output:
            return watcher, _launched(output.readline(), log)
    except BaseException:
        _pipe(watcher.stdin).close()
        watcher.wait()
        raise


def _started(launcher: list[str], log: Path) -> JavaProcess:
    try:
        done = subprocess.run(  # noqa: S603
            launcher,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LAUNCH_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalServerError(f"DynamoDB Local cannot be started: {error}") from error
    return _launched(done.stdout, log)


def _launcher(
    mode: str,
    distribution: Path,
    log: Path,
    scratch: Path | None,
    command: list[str],
    *,
    owner: int | Path,
) -> list[str]:
    python = [sys.executable, "-I", "-S", str(_LAUNCHER)]
    paths = [str(distribution), str(log), str(scratch or "")]
    return [*python, mode, *paths, str(owner), *command]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise LocalServerError("the launcher has no pipe")
    return pipe


def _launched(line: bytes, log: Path) -> JavaProcess:
    said: dict[str, Any]
    try:
        said = json.loads(line)
    except ValueError:
        said = {"error": line.decode(errors="replace").strip() or "the launcher ended"}
    if "pid" not in said:
        raise LocalServerError(f"DynamoDB Local cannot be started: {said['error']}")
    process = JavaProcess.running(said["pid"])
    if process is None:
        raise _ended_early(log)
    return process


def wait_until_ready(process: JavaProcess, *, port: int, log: Path, limit: timedelta) -> None:
    """Return when this process answers at its port as DynamoDB Local does.

    Raises:
        PortLostError: it ended because another process has the port.
        LocalServerError: it ended for another reason, or does not answer within ``limit``; the
            message carries the last lines of its log.
    """
    deadline = time.monotonic() + limit.total_seconds()
    while True:
        if not process.is_alive():
            raise _ended_early(log)
        # Whoever answers may be another server, while this one is about to find the port taken.
        # And asking a port where nobody listens yet may, once in a while, take that very port.
        if process.listens_on(port) and probe(port) is Answer.DYNAMODB_LOCAL:
            return
        if time.monotonic() > deadline:
            raise LocalServerError(
                f"DynamoDB Local did not answer at port {port} within "
                f"{limit.total_seconds():g} seconds.{_last_lines(log)}"
            )
        time.sleep(_POLL_SECONDS)


def _ended_early(log: Path) -> LocalServerError:
    kind = PortLostError if "BindException" in _read(log) else LocalServerError
    return kind(f"DynamoDB Local ended before it answered.{_last_lines(log)}")


def _last_lines(log: Path) -> str:
    lines = [line for line in _read(log).splitlines() if line.strip()][-_LAST_LINES:]
    return "".join(f"\n  {line}" for line in (f"The end of its log {log}:", *lines))


def _read(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
