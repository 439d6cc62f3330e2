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
    """Hold an exclusive lock on a file, which is created if need be and stays.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        LocalServerError: another process still held it after ``wait``.
        OSError: the file cannot be opened.
    """
    try:
        lock = FileLock(path).acquire(timeout=wait.total_seconds())
    except Timeout:
        raise LocalServerError(
            f"Another process has held {path} for {wait.total_seconds():g} seconds. "
            "Wait for its start or stop to end, or end it, and try again."
        ) from None
    with lock:
        yield
