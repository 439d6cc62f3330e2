"""A folder whose server ends with the process that made it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from quill_models.local.launcher import hold
from quill_models.local.pid_file import PID_FILE, running_in
from quill_models.values.errors import LocalServerError

__all__ = ["OWNER_LOCK", "OwnedFolder"]

OWNER_LOCK: Final = "owner"


class OwnedFolder:
    """A temporary folder that goes, with the server started in it, when its process ends.

    The process holds a lock, which ends with it however it ends; the launcher of the server waits
    for the lock. So it does not matter which process started the server.

    Raises:
        LocalServerError: there is no place for temporary folders.
    """

    def __init__(self, prefix: str) -> None:
        self._process = os.getpid()
        try:
            self.path = Path(tempfile.mkdtemp(prefix=prefix))
            self._lock = (self.path / OWNER_LOCK).open("ab")
        except OSError as error:
            raise LocalServerError(f"DynamoDB Local cannot be started: {error}") from error
        hold(self._lock.fileno())

    def close(self) -> None:
        """End the server, if any was started, and remove the folder."""
        # A forked child leaves its parent's server alone.
        if os.getpid() != self._process:
            return
        self._lock.close()
        if (self.path / PID_FILE).exists() and (server := running_in(self.path)) is not None:
            server.end()
        shutil.rmtree(self.path, ignore_errors=True)
