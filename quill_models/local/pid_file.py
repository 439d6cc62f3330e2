"""Which server runs in a folder."""

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
    """What a pid file says of the process of a server; a ``data_dir`` of ``None`` is in memory."""

    port: int
    data_dir: Path | None
    log: Path
    started_at: datetime

    @property
    def endpoint(self) -> str:
        """The URL to connect to."""
        return f"http://127.0.0.1:{self.port}"

    def write(self, folder: Path) -> None:
        """Write the file, at once."""
        said = {**asdict(self), "started_at": self.started_at.isoformat()}
        new = folder / "server.new"
        new.write_text(json.dumps(said, indent=2, default=str) + "\n", encoding="utf-8")
        new.replace(folder / PID_FILE)


def marker_of(folder: Path) -> str:
    """An argument without effect, by which the server of a folder is known."""
    return f"-Dquill.state={folder}"


def running_in(folder: Path) -> PidFile | None:
    """The server that was started in a folder and is alive, whether it answers or not."""
    found = _read(folder / PID_FILE)
    if found is not None and marker_of(folder) in found.arguments():
        return found
    # One that a killed start left without a pid file, or whose file was removed.
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
        said = json.loads(path.read_text(encoding="utf-8"))
        return PidFile(
            pid=int(said["pid"]),
            created=float(said["created"]),
            port=int(said["port"]),
            data_dir=Path(said["data_dir"]) if said["data_dir"] else None,
            log=Path(said["log"]),
            started_at=datetime.fromisoformat(said["started_at"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
