"""Folders of migrations, to be read."""

from __future__ import annotations

from pathlib import Path

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
