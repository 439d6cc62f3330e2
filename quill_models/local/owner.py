"""A folder whose server ends with the process that created the folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from quill_models.local.launcher import acquire_lock
from quill_models.local.pid_file import PID_FILE, running_in
from quill_models.values.errors import LocalServerError

__all__ = ["OWNER_LOCK", "OwnedFolder"]

OWNER_LOCK: Final = "owner"


class OwnedFolder:
    """A temporary folder that is removed, with its server, when the process that created it ends.

    The process holds a lock, which the system releases even after SIGKILL. The launcher of the
    server waits for that lock, so any process may start the server.

    Raises:
        LocalServerError: No temporary folder can be created.
    """

    def __init__(self, prefix: str) -> None:
        self._process = os.getpid()
        try:
            self.path = Path(tempfile.mkdtemp(prefix=prefix))
            self._lock = (self.path / OWNER_LOCK).open("ab")
        except OSError as error:
            reason = (
                f"No temporary folder can be created: {error}. Set TMPDIR to a writable folder."
            )
            raise LocalServerError(reason) from error
        acquire_lock(self._lock.fileno())

    def close(self) -> None:
        """End the server, if one was started, and remove the folder."""
        # A forked child must not end its parent's server.
        if os.getpid() != self._process:
            return
        self._lock.close()
        if (self.path / PID_FILE).exists() and (server := running_in(self.path)) is not None:
            server.end()
        shutil.rmtree(self.path, ignore_errors=True)
