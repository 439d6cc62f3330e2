"""A process: knowing it again, ending it."""

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

# Clocks that are set move the time at which a process seems to have been created.
_SAME_CREATION_SECONDS: Final = 2.0


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


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psutil.Error as error:
        said = f"The system does not let DynamoDB Local be managed: {error}"
        raise LocalServerError(said) from error


@dataclass(frozen=True, kw_only=True)
class JavaProcess:
    """One process, told apart by its time of creation from a later one that got the same pid."""

    pid: int
    created: float

    @classmethod
    def running(cls, pid: int) -> JavaProcess | None:
        """The process that has this pid now, if any."""
        with _translated(), suppress(psutil.NoSuchProcess):
            process = JavaProcess(pid=pid, created=psutil.Process(pid).create_time())
            return process if process.is_alive() else None
        return None

    def is_alive(self) -> bool:
        """Whether this process, and no other of its pid, is still running."""
        return self._found() is not None

    def arguments(self) -> list[str]:
        """Its command line; empty if it is not alive, or not this user's to know."""
        found = self._found()
        try:
            return found.cmdline() if found is not None else []
        except psutil.Error:
            return []

    def listens_on(self, port: int) -> bool:
        """Whether it is this process that answers at a port."""
        found = self._found()
        try:
            listening = found.net_connections("tcp") if found is not None else []
        except psutil.AccessDenied:
            # A hardened system. Whether someone answers is then all that can be known.
            return True
        except psutil.Error:
            return False
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for connection in listening
        )

    def end(self) -> None:
        """End it if it is alive: ask it to, and if that takes too long make it.

        Raises:
            LocalServerError: the system does not allow it, or it does not end.
        """
        for signal in ("terminate", "kill"):
            found = self._found()
            if found is not None:
                with _translated(), suppress(psutil.NoSuchProcess):
                    getattr(found, signal)()
            # Psutil's own wait takes for ever in a container whose first process is no init.
            deadline = time.monotonic() + END_PATIENCE.total_seconds()
            while time.monotonic() < deadline:
                if not self.is_alive():
                    return
                time.sleep(_POLL_SECONDS)
        raise LocalServerError(f"DynamoDB Local, process {self.pid}, does not end.")

    def _found(self) -> psutil.Process | None:
        with _translated(), suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _SAME_CREATION_SECONDS
            # A zombie is a dead process that its parent has not asked after.
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        return None


def require_psutil() -> None:
    """Fail before any work is done if psutil is not installed."""
    _ = psutil.Error


def find_by_argument(argument: str) -> JavaProcess | None:
    """The running process of this user that was started with an argument, if there is one."""
    with _translated():
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or ()
            # The launcher has the whole command among its own arguments.
            if argument in words and LAUNCHER not in words:
                return JavaProcess.running(process.pid)
    return None
