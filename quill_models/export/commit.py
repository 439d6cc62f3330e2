"""The atomic commit of an export into its folder.

All files are written into a staging folder first. Then a journal lists the files to move and the
files to remove; writing it commits the new export. Each file is moved by a rename, the manifest
last. The next export finishes a journal before it starts. So a process that dies before the journal
is written leaves the old export unchanged, and one that dies later leaves a commit to finish.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from quill_models.export.manifest import parse_manifest
from quill_models.export.writers import Format
from quill_models.models.star_schema import StarTable
from quill_models.values.errors import ExportFailed

__all__ = ["Folder", "file_of", "open_folder"]

MANIFEST = "manifest.json"
_LOCK, _JOURNAL = ".export-lock", ".export-journal.json"
_STAGING = ".export-staging-"
_EMPTY = "empty"
_EXPORT_FILE = re.compile(
    rf"[a-z_]+/(?:(?P<name>[a-z_]+)|(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}))\.(?:{'|'.join(Format)})"
)
_STAGED = re.compile(re.escape(_STAGING) + "[0-9a-f]+")


def file_of(table: StarTable, day: str, file_format: Format) -> str:
    """Return the relative path of a table's file for a day, or for no day.

    A partitioned table without rows has one empty file, from which readers learn the columns.
    """
    undated = table.name if table.partition is None else _EMPTY
    return f"{table.name}/{day or undated}.{file_format}"


class Folder:
    """The folder of an export, locked by this process; see `open_folder`.

    Attributes:
        staging: A folder in it for uncommitted files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.staging = path / f"{_STAGING}{secrets.token_hex(8)}"

    @property
    def manifest(self) -> dict[str, Any] | None:
        """The manifest of the committed export, or ``None`` without one."""
        path = self._path / MANIFEST
        try:
            return parse_manifest(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise ExportFailed(
                f"{path} is not a manifest of an export: {error}. Choose another folder, or delete "
                "the file and export everything."
            ) from error

    def files(self, table: StarTable) -> dict[str, str]:
        """Return the committed files of a table with their days. Other files are ignored."""
        found = {}
        folder = self._path / table.name
        for name in sorted(each.name for each in folder.iterdir()) if folder.is_dir() else ():
            file = f"{table.name}/{name}"
            match = _EXPORT_FILE.fullmatch(file)
            if match is not None and (match["day"] or match["name"] in {_EMPTY, table.name}):
                found[file] = match["day"] or ""
        return found

    def staged(self, file: str) -> Path:
        """Return the staging path of a file."""
        path = self.staging / "files" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def commit(
        self, manifest: dict[str, Any], files: Iterable[str], removed: Iterable[str]
    ) -> None:
        """Move the staged files into the folder, and delete the ``removed`` ones.

        If a move raises an `OSError`, the next export finishes the commit.
        """
        files = [*files]
        staged = [self.staged(file) for file in [*files, MANIFEST]]
        _write(staged[-1], manifest)
        for path in dict.fromkeys([*staged, *(path.parent for path in staged)]):
            _sync(path)
        journal = self.staging / _JOURNAL
        _write(journal, {"staging": self.staging.name, "files": files, "removed": [*removed]})
        _sync(journal)
        journal.replace(self._path / _JOURNAL)
        _sync(self._path)
        self.finish()

    def finish(self) -> None:
        """Finish the commit of a journal, if one exists."""
        path = self._path / _JOURNAL
        try:
            journal = _parse_journal(path.read_bytes())
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = f"{path} is not a valid journal. Delete it and export everything."
            raise ExportFailed(reason) from error
        staged = self._path / journal["staging"] / "files"

        def move(file: str) -> None:
            # An interrupted commit has already moved the files that are missing here.
            if (staged / file).exists():
                (self._path / file).parent.mkdir(exist_ok=True)
                (staged / file).replace(self._path / file)

        for file in journal["files"]:
            move(file)
        for file in journal["removed"]:
            (self._path / file).unlink(missing_ok=True)
        for folder in {file.partition("/")[0] for file in journal["files"] + journal["removed"]}:
            _sync(self._path / folder)
        move(MANIFEST)
        _sync(self._path)
        path.unlink()


@contextmanager
def open_folder(path: Path) -> Iterator[Folder]:
    """Lock a folder, created if it is missing, and finish an interrupted commit in it.

    Raises:
        ExportFailed: Another process exports into the folder.
        OSError: The folder cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path / _LOCK).acquire(blocking=False)
    except Timeout:
        raise ExportFailed(
            f"Another process is exporting into {path}. Wait until it finishes, or choose another "
            "folder."
        ) from None
    with lock:
        folder = Folder(path)
        folder.finish()
        for abandoned in path.glob(f"{_STAGING}*"):
            shutil.rmtree(abandoned)
        folder.staging.mkdir()
        try:
            yield folder
        finally:
            # An unfinished journal needs the staged files.
            if not (path / _JOURNAL).exists():
                shutil.rmtree(folder.staging, ignore_errors=True)


def _parse_journal(text: bytes) -> dict[str, Any]:
    """Parse a journal, and reject paths outside of its folder."""
    journal: dict[str, Any] = json.loads(text)
    files = [*journal["files"], *journal["removed"]]
    if not (all(map(_EXPORT_FILE.fullmatch, files)) and _STAGED.fullmatch(journal["staging"])):
        raise ValueError("a path is outside of the folder")
    return journal


def _write(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def _sync(path: Path) -> None:
    """Make a file, or the renames in a folder, durable against a power loss."""
    if sys.platform == "win32" and path.is_dir():
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
