"""The folder of an export, and how a new one is put in the place of the old one, whole.

Everything is written into a staging folder first. Then a journal says which files go where and
which go away; from that moment on the new export is the one that counts. Each file is replaced by
a rename, the manifest last. Whoever finds a journal finishes what it says before anything else.
So a process that dies before the journal leaves the old export as it was, and one that dies after
it leaves the new one to be finished.
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

from quill_models.export.manifest import parsed
from quill_models.export.writers import Format
from quill_models.models.star_schema import StarTable
from quill_models.values.errors import ExportFailed

__all__ = ["Folder", "file_of", "opened"]

MANIFEST = "manifest.json"
_LOCK, _JOURNAL = ".export-lock", ".export-journal.json"
_STAGING = ".export-staging-"
_EMPTY = "empty"
_OUR_FILE = re.compile(
    rf"[a-z_]+/(?:(?P<name>[a-z_]+)|(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}))\.(?:{'|'.join(Format)})"
)
_STAGED = re.compile(re.escape(_STAGING) + "[0-9a-f]+")


def file_of(table: StarTable, day: str, file_format: Format) -> str:
    """The file of a table's day below the folder; without a day that of the whole table.

    A table that is partitioned by day and has no rows has one file without any, so that readers of
    the folder find its columns.
    """
    whole = table.name if table.partition is None else _EMPTY
    return f"{table.name}/{day or whole}.{file_format}"


class Folder:
    """A folder that this process alone exports into; see `opened`.

    Attributes:
        staging: a folder in it for files that are put in place later, or not at all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.staging = path / f"{_STAGING}{secrets.token_hex(8)}"

    @property
    def manifest(self) -> dict[str, Any] | None:
        """What the export that is there says of itself."""
        path = self._path / MANIFEST
        try:
            return parsed(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise ExportFailed(
                f"{path} is no manifest of an export ({error}). Take another folder; or delete it "
                "and export everything."
            ) from error

    def files(self, table: StarTable) -> dict[str, str]:
        """The files of a table that are there, with their days; others are none of ours."""
        found = {}
        folder = self._path / table.name
        for name in sorted(each.name for each in folder.iterdir()) if folder.is_dir() else ():
            file = f"{table.name}/{name}"
            match = _OUR_FILE.fullmatch(file)
            if match is not None and (match["day"] or match["name"] in {_EMPTY, table.name}):
                found[file] = match["day"] or ""
        return found

    def staged(self, file: str) -> Path:
        """Where a file is written that will be put in place."""
        path = self.staging / "files" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put_in_place(
        self, manifest: dict[str, Any], files: Iterable[str], removed: Iterable[str]
    ) -> None:
        """Make what is staged the export that is there, without the ``removed`` files.

        If a file cannot be replaced, which is an `OSError`, the next export begins with the rest.
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
        """Finish what a journal says, if there is one."""
        path = self._path / _JOURNAL
        try:
            journal = _journal(path.read_bytes())
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ExportFailed(
                f"{path}, which says how to finish an export, is none ({error}). Delete it and "
                "export everything."
            ) from error
        staged = self._path / journal["staging"] / "files"

        def put(file: str) -> None:
            # What is no longer staged was put in place before.
            if (staged / file).exists():
                (self._path / file).parent.mkdir(exist_ok=True)
                (staged / file).replace(self._path / file)

        for file in journal["files"]:
            put(file)
        for file in journal["removed"]:
            (self._path / file).unlink(missing_ok=True)
        for folder in {file.partition("/")[0] for file in journal["files"] + journal["removed"]}:
            _sync(self._path / folder)
        put(MANIFEST)
        _sync(self._path)
        path.unlink()


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """A folder to export into, made if need be. First finishes an export that was cut off.

    Raises:
        ExportFailed: another process exports into it.
        OSError: the folder cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path / _LOCK).acquire(blocking=False)
    except Timeout:
        raise ExportFailed(
            f"Another process is exporting into {path}. Wait for it to end, or export into "
            "another folder."
        ) from None
    with lock:
        folder = Folder(path)
        folder.finish()
        for left_by_dead_process in path.glob(f"{_STAGING}*"):
            shutil.rmtree(left_by_dead_process)
        folder.staging.mkdir()
        try:
            yield folder
        finally:
            # A journal still needs what is staged.
            if not (path / _JOURNAL).exists():
                shutil.rmtree(folder.staging, ignore_errors=True)


def _journal(text: bytes) -> dict[str, Any]:
    """A journal, which names nothing outside of its folder; else an error."""
    journal: dict[str, Any] = json.loads(text)
    for file in [*journal["files"], *journal["removed"]]:
        if _OUR_FILE.fullmatch(file) is None:
            raise ValueError(f"{file!r} is no file of an export")
    if _STAGED.fullmatch(journal["staging"]) is None:
        raise ValueError(f"{journal['staging']!r} is no folder of an export")
    return journal


def _write(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def _sync(path: Path) -> None:
    """Make a file, or the renames in a folder, last, also where the power goes."""
    if sys.platform == "win32" and path.is_dir():
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
