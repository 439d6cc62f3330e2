"""The record of the server that runs in a folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from quill_models.local.process import JavaProcess, find_by_argument

__all__ = ["LOG", "PID_FILE", "PidFile", "marker_of", "running_in"]

LOG: Final = "server.log"
PID_FILE: Final = "server.json"


@dataclass(frozen=True, kw_only=True)
class PidFile(JavaProcess):
    """The record of a server's process. A ``data_dir`` of ``None`` means in memory."""

    port: int
    data_dir: Path | None
    log: Path
    started_at: datetime

    @property
    def endpoint(self) -> str:
        """The URL to connect to."""
        return f"http://127.0.0.1:{self.port}"

    def write(self, folder: Path) -> None:
        """Write the file atomically."""
        record = {**asdict(self), "started_at": self.started_at.isoformat()}
        new = folder / "server.new"
        new.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
        new.replace(folder / PID_FILE)


def marker_of(folder: Path) -> str:
    """Return a command-line argument without effect that identifies the server of a folder."""
    return f"-Dquill.state={folder}"


def running_in(folder: Path) -> PidFile | None:
    """Return the living server that was started in a folder, even if it does not respond."""
    found = _read(folder / PID_FILE)
    if found is not None and marker_of(folder) in found.arguments():
        return found
    # A killed start leaves no pid file, and a user can remove one.
    process = find_by_argument(marker_of(folder))
    arguments = process.arguments() if process is not None else []
    if process is None or not arguments:
        return None
    option = dict(pairwise(arguments))
    return PidFile(
        **asdict(process),
        port=int(option["-port"]),
        data_dir=Path(option["-dbPath"]) if "-dbPath" in option else None,
        log=folder / LOG,
        started_at=datetime.fromtimestamp(process.created, UTC),
    )


def _read(path: Path) -> PidFile | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return PidFile(
            pid=int(record["pid"]),
            created=float(record["created"]),
            port=int(record["port"]),
            data_dir=Path(record["data_dir"]) if record["data_dir"] else None,
            log=Path(record["log"]),
            started_at=datetime.fromisoformat(record["started_at"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
