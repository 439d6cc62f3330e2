"""One process at a time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt

    def _try(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


__all__ = ["exclusive"]


@contextmanager
def exclusive(path: Path, *, wait: timedelta) -> Iterator[bool]:
    """Try for an exclusive lock on a file, which is made if need be and stays.

    The operating system holds the lock for this process and ends it with the process, however that
    ends. It is not handed down to the processes started meanwhile.

    Args:
        path: the file, in a folder that exists.
        wait: how long to wait for another holder.

    Yields:
        Whether this process has it; if not, another one still held it after ``wait``.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("ab") as file:
        deadline = time.monotonic() + wait.total_seconds()
        while not (held := _taken(file)) and time.monotonic() <= deadline:
            time.sleep(0.05)
        yield held


def _taken(file: BinaryIO) -> bool:
    try:
        _try(file)
    except (BlockingIOError, PermissionError):
        return False
    return True
