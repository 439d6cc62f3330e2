"""A DynamoDB Local that the processes of one test session share."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from quill_models.local.distribution import find_or_fetch
from quill_models.local.embedded_server import END_PATIENCE, START_LIMIT, on_a_free_port
from quill_models.local.java import find_java
from quill_models.local.lock import locked
from quill_models.local.process import (
    JavaProcess,
    command_line,
    launch_held,
    require_psutil,
    wait_until_ready,
)
from quill_models.values.errors import LocalServerError

__all__ = ["shared_server", "wait_until_ended"]

_STATE: Final = "server.json"
# The first to come may have DynamoDB Local to fetch.
_PATIENCE: Final = timedelta(minutes=30)


def shared_server(
    folder: Path, *, lock: Path, local_home: Path | None, java_home: Path | None
) -> str:
    """The endpoint of the one server of a folder; who asks first starts it, on a free port.

    It keeps its data in memory, and ends when whoever holds the lock lets go of it or ends, not
    with the process that started it. The folder is then removed.

    Args:
        folder: a folder that exists, for all that the server needs.
        lock: a file in it that another process has locked, or this one.
        local_home: `Settings.local_home`.
        java_home: `Settings.java_home`.

    Raises:
        LocalServerError: DynamoDB Local or Java cannot be found, or it does not start.
    """
    require_psutil()
    try:
        with locked(folder / "start", wait=_PATIENCE):
            found = _running(folder)
            if found is not None:
                return found[0]
            distribution, java = find_or_fetch(local_home), find_java(java_home)
            return on_a_free_port(partial(_start, folder, lock, java, distribution))
    except OSError as error:
        raise LocalServerError(f"{folder} cannot be used: {error}") from error


def wait_until_ended(folder: Path) -> None:
    """Wait until the server is gone, after the lock was let go of; end it if need be.

    Args:
        folder: of the session.

    Raises:
        LocalServerError: it does not end.
    """
    found = _running(folder)
    if found is None:
        return
    process = found[1]
    if not process.ends_within(END_PATIENCE):
        # Whoever watched over it was killed.
        process.end(END_PATIENCE)


def _start(folder: Path, lock: Path, java: Path, distribution: Path, port: int) -> str:
    log, temporary = folder / "server.log", folder / "tmp"
    temporary.mkdir(exist_ok=True)
    command = command_line(java, port=port, data_dir=None, temporary=temporary)
    process = launch_held(command, distribution=distribution, log=log, scratch=folder, lock=lock)
    try:
        wait_until_ready(process, port=port, log=log, limit=START_LIMIT)
    except BaseException:
        process.end(END_PATIENCE)
        raise
    endpoint = f"http://127.0.0.1:{port}"
    state = {"endpoint": endpoint, "pid": process.pid, "created": process.created}
    new = folder / f"{_STATE}.new"
    new.write_text(json.dumps(state), encoding="utf-8")
    new.replace(folder / _STATE)
    return endpoint


def _running(folder: Path) -> tuple[str, JavaProcess] | None:
    try:
        said = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    process = JavaProcess(int(said["pid"]), float(said["created"]))
    return (str(said["endpoint"]), process) if process.is_alive() else None
