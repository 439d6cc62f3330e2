"""One process at a time, in the folder of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from quill_models.errors import LocalServerError
from quill_models.file_lock import exclusive

__all__ = ["locked"]


@contextmanager
def locked(path: Path, *, wait: timedelta) -> Iterator[None]:
    """Hold an exclusive lock on a file; see `exclusive`.

    Raises:
        LocalServerError: another process still held it after ``wait``.
        OSError: the file cannot be opened.
    """
    with exclusive(path, wait=wait) as held:
        if not held:
            raise LocalServerError(
                f"Another process has held {path} for {wait.total_seconds():g} seconds. "
                "Wait for its start or stop to end, or end it, and try again."
            )
        yield
