"""Processes: identify, find and end them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from quill_models.values.errors import LocalServerError

__all__ = ["LAUNCHER", "JavaProcess", "find_by_argument", "require_psutil"]

LAUNCHER: Final = str(Path(__file__).with_name("launcher.py"))
END_PATIENCE: Final = timedelta(seconds=10)
_POLL_SECONDS: Final = 0.05

# Setting the clock shifts the creation time that the system reports for a process.
_SAME_CREATION_SECONDS: Final = 2.0


class _OptionalPsutil:
    """psutil, imported at first use, because only DynamoDB Local needs it."""

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(importlib.import_module("psutil"), name)
        except ImportError as error:
            raise LocalServerError(
                "DynamoDB Local can be started and stopped only with the package psutil. "
                "Run pip install 'quill-models[local]'."
            ) from error


if TYPE_CHECKING:
    import psutil
else:
    psutil = _OptionalPsutil()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psutil.Error as error:
        reason = f"The system denied access to a process: {error}. Run as the user who owns it."
        raise LocalServerError(reason) from error


@dataclass(frozen=True, kw_only=True)
class JavaProcess:
    """A process, identified by its pid and creation time, because the system reuses pids."""

    pid: int
    created: float

    @classmethod
    def running(cls, pid: int) -> JavaProcess | None:
        """Return the process that has this pid now, or ``None``."""
        with _translated(), suppress(psutil.NoSuchProcess):
            process = JavaProcess(pid=pid, created=psutil.Process(pid).create_time())
            return process if process.is_alive() else None
        return None

    def is_alive(self) -> bool:
        """Return whether this process is running, and not a later one with its pid."""
        return self._found() is not None

    def arguments(self) -> list[str]:
        """Return its command line, or an empty list if it has ended or access is denied."""
        found = self._found()
        try:
            return found.cmdline() if found is not None else []
        except psutil.Error:
            return []

    def listens_on(self, port: int) -> bool:
        """Return whether this process listens on a TCP port."""
        found = self._found()
        try:
            listening = found.net_connections("tcp") if found is not None else []
        except psutil.AccessDenied:
            # On a hardened system only a probe of the port is possible.
            return True
        except psutil.Error:
            return False
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for connection in listening
        )

    def end(self) -> None:
        """Terminate the process, or kill it if it does not end within `END_PATIENCE`."""
        for signal in ("terminate", "kill"):
            found = self._found()
            if found is not None:
                with _translated(), suppress(psutil.NoSuchProcess):
                    getattr(found, signal)()
            # `psutil.wait` never returns in a container whose first process is not an init.
            deadline = time.monotonic() + END_PATIENCE.total_seconds()
            while time.monotonic() < deadline:
                if not self.is_alive():
                    return
                time.sleep(_POLL_SECONDS)
        raise LocalServerError(f"DynamoDB Local, process {self.pid}, does not end. Kill it.")

    def _found(self) -> psutil.Process | None:
        with _translated(), suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _SAME_CREATION_SECONDS
            # A zombie has ended, but its parent has not waited for it.
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        return None


def require_psutil() -> None:
    """Raise a `LocalServerError` if psutil is not installed."""
    _ = psutil.Error


def find_by_argument(argument: str) -> JavaProcess | None:
    """Return this user's running process with an argument in its command line, or ``None``."""
    with _translated():
        for process in psutil.process_iter(["cmdline"]):
            arguments = process.info["cmdline"] or ()
            # The launcher's own arguments include the complete command.
            if argument in arguments and LAUNCHER not in arguments:
                return JavaProcess.running(process.pid)
    return None
