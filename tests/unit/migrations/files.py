"""Packages of migrations of a test's own."""

from __future__ import annotations

import sys
from importlib import invalidate_caches
from itertools import count
from pathlib import Path
from types import ModuleType

NOTHING = "def up(step):\n    pass\n"


def written(folder: Path, name: str, body: str = NOTHING, description: str | None = None) -> Path:
    """A migration's file; described by its name, unless told otherwise."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(f"DESCRIPTION = {description or name!r}\n\n\n{body}", encoding="utf-8")
    return path


def in_order(folder: Path, number: int) -> Path:
    """A folder with so many migrations that do nothing."""
    for each in range(1, number + 1):
        written(folder, f"{each:04d}_m{each}")
    return folder


_packages = count()


def package_of(folder: Path) -> ModuleType:
    """A folder as a package, of which nothing was imported before, as in a new process."""
    package = ModuleType(f"migrations_{next(_packages)}")
    package.__path__ = [str(folder)]
    sys.modules[package.__name__] = package
    invalidate_caches()
    return package
