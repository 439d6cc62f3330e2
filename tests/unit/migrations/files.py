"""Packages of migrations for one test."""

from __future__ import annotations

import sys
from importlib import invalidate_caches
from itertools import count
from pathlib import Path
from types import ModuleType

EMPTY_UP = "def up(step):\n    pass\n"


def write_migration(
    folder: Path, name: str, body: str = EMPTY_UP, description: str | None = None
) -> Path:
    """Write the file of a migration; its default description is its name."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(f"DESCRIPTION = {description or name!r}\n\n\n{body}", encoding="utf-8")
    return path


def numbered(folder: Path, number: int) -> Path:
    """Write a number of migrations that change nothing, and return their folder."""
    for each in range(1, number + 1):
        write_migration(folder, f"{each:04d}_m{each}")
    return folder


_packages = count()


def package_of(folder: Path) -> ModuleType:
    """Return a folder as a package with a new name, so that its modules are imported again."""
    package = ModuleType(f"migrations_{next(_packages)}")
    package.__path__ = [str(folder)]
    sys.modules[package.__name__] = package
    invalidate_caches()
    return package
