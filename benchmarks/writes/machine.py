"""The machine and the versions of a measurement."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Machine"]

_LIBRARIES = (
    "quill-models",
    "botocore",
    "pynamodb",
    "boto3",
    "aws-lambda-powertools",
    "aiodynamo",
    "aiohttp",
    "pydynantic",
)


@dataclass(frozen=True)
class Machine:
    """The machine, the server, and the versions of the libraries."""

    cpu: str
    cores: int
    python: str
    server: str
    libraries: dict[str, str]

    @classmethod
    def this(cls, server: str) -> Machine:
        """Describe this machine.

        Args:
            server: Description of the server.
        """
        return cls(
            cpu=_cpu(),
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
            server=server,
            libraries={name: found for name in _LIBRARIES if (found := _version(name))},
        )

    def text(self) -> str:
        """Describe the machine in one sentence."""
        libraries = ", ".join(f"{name} {found}" for name, found in self.libraries.items())
        return f"{self.cpu}, {self.cores} cores; {self.server}; Python {self.python}, {libraries}."


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
