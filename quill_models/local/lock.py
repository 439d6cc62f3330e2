"""One process at a time, in the folder of a server."""

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
    """Wait for an exclusive lock on a file in a folder; both are made if need be and stay.

    The lock ends with the process, however it ends. An error of the system, also one of the block,
    says that the folder cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path).acquire(timeout=wait.total_seconds()):
            yield
    except Timeout:
        raise LocalServerError(
            f"Another process has held {path} for {wait.total_seconds():g} seconds. "
            "Wait for its start or stop to end, or end it, and try again."
        ) from None
    except OSError as error:
        raise LocalServerError(f"{path.parent} cannot be used: {error}") from error
