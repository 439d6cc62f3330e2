"""A lock between processes in the folder of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from quill_models.values.errors import LocalServerError

__all__ = ["locked"]


@contextmanager
def locked(path: Path, *, wait: timedelta) -> Iterator[None]:
    """Hold an exclusive lock on a file while the block runs.

    The file and its folder are created if they are missing. The system releases the lock when the
    process ends, even by SIGKILL. An `OSError`, also of the block, becomes a `LocalServerError`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path).acquire(timeout=wait.total_seconds()):
            yield
    except Timeout:
        raise LocalServerError(
            f"{path} is still locked by another process after {wait.total_seconds():g} seconds. "
            "Wait until it has started or stopped the server, or end it. Then retry."
        ) from None
    except OSError as error:
        reason = f"The folder {path.parent} cannot be used: {error}. Fix the cause, then retry."
        raise LocalServerError(reason) from error
