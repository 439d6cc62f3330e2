"""`LocalServer` with the real DynamoDB Local."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from quill_models.errors import LocalServerError
from quill_models.local import LocalServer, ServerState, ServerStatus, find_java
from quill_models.local.launch import Launch
from quill_models.local.probe import probe
from tests.local_dynamo.local.servers import (
    eventually,
    free_port,
    has,
    is_gone,
    javas_with,
    put,
    python,
)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int, tmp_path: Path) -> LocalServer:
    return LocalServer(port, state_dir=tmp_path / "state")


@pytest.fixture
def start(
    local_home: Path, java_home: Path | None, tmp_path: Path, server: LocalServer
) -> Iterator[Callable[..., ServerStatus]]:
    def call(**options: Any) -> ServerStatus:
        return server.start(local_home=local_home, java_home=java_home, **options)

    yield call
    server.stop()
    assert javas_with(str(tmp_path)) == []


@pytest.fixture(scope="module")
def running(
    local_home: Path, java_home: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerStatus]:
    """One server for the tests that do not change it."""
    server = LocalServer(free_port(), state_dir=tmp_path_factory.mktemp("running") / "state")
    started = server.start(local_home=local_home, java_home=java_home)
    yield started
    stopped = server.stop()
    assert (stopped.state, stopped.pid) == (ServerState.STOPPED, started.pid)
    assert javas_with(str(server.state_dir)) == []


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeouts of responses and of ending processes."""
    monkeypatch.setattr("quill_models.local.server.probe", partial(probe, timeout=0.5))
    monkeypatch.setattr("quill_models.local.server._SECOND_PROBE_SECONDS", 0.5)
    monkeypatch.setattr("quill_models.local.process.END_PATIENCE", timedelta(seconds=1))


class TestBackground:
    def test_server_start_status_stop_restart_keeps_data(
        self, start: Callable[..., ServerStatus], server: LocalServer, tmp_path: Path, port: int
    ) -> None:
        started = start()
        assert started.state is ServerState.STARTED
        assert started.is_up
        assert started.endpoint == f"http://localhost:{port}"
        assert started.data_dir == tmp_path / "state" / "data"
        put(started.endpoint, "before")

        assert start().state is ServerState.ALREADY_RUNNING
        running = server.status()
        assert running.state is ServerState.RUNNING
        assert (running.pid, running.started_at) == (started.pid, started.started_at)
        record = json.loads((tmp_path / "state" / "server.json").read_text())
        assert record["pid"] == running.pid
        assert record["port"] == port
        assert record["log"] == str(running.log)

        stopped = server.stop()
        assert (stopped.state, stopped.pid) == (ServerState.STOPPED, started.pid)
        assert server.stop().state is ServerState.NOT_RUNNING
        assert server.status().state is ServerState.NOT_RUNNING
        assert not (tmp_path / "state" / "server.json").exists()

        again = start()
        assert again.state is ServerState.STARTED
        assert again.pid != started.pid
        assert has(again.endpoint, "before")

    def test_server_process_is_detached(self, running: ServerStatus) -> None:
        java = psutil.Process(running.pid)
        assert os.getsid(java.pid) != os.getsid(0)
        assert java.ppid() != os.getpid()
        assert java.terminal() is None

    def test_start_in_memory_keeps_no_data(
        self, start: Callable[..., ServerStatus], server: LocalServer, tmp_path: Path
    ) -> None:
        started = start(in_memory=True)
        put(started.endpoint, "before")
        assert started.data_dir is None
        server.stop()

        assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [
            "lock",
            "server.log",
            "tmp",
        ]

    def test_start_data_dir_is_used_and_kept(
        self, start: Callable[..., ServerStatus], server: LocalServer, tmp_path: Path
    ) -> None:
        own = tmp_path / "a folder" / "of my own"
        started = start(data_dir=own)
        put(started.endpoint, "before")

        assert started.data_dir == own
        # A second start keeps the data folder, and the status reports it.
        assert start().data_dir == own
        server.stop()
        assert [path.suffix for path in own.iterdir()] == [".db"]

    def test_start_after_kill_keeps_data(
        self, start: Callable[..., ServerStatus], server: LocalServer
    ) -> None:
        first = start()
        put(first.endpoint, "before")
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        assert is_gone(first.pid)

        assert server.status().state is ServerState.NOT_RUNNING
        second = start()

        assert second.state is ServerState.STARTED
        assert second.pid != first.pid
        assert list((server.state_dir / "tmp").iterdir()) == []
        assert has(second.endpoint, "before")

    @pytest.mark.usefixtures("short_timeouts")
    def test_status_hanging_server_is_reported_and_stopped(
        self, start: Callable[..., ServerStatus], server: LocalServer
    ) -> None:
        pid = start(in_memory=True).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        # SIGSTOP takes effect with a delay.
        process = psutil.Process(pid)
        assert eventually(lambda: process.status() == psutil.STATUS_STOPPED)

        assert server.status().state is ServerState.NOT_ANSWERING
        assert server.stop().state is ServerState.STOPPED
        assert is_gone(pid)

    def test_status_without_pid_file_finds_server(
        self, running: ServerStatus, local_home: Path, java_home: Path | None
    ) -> None:
        server = LocalServer(running.port, state_dir=running.state_dir)
        path = running.state_dir / "server.json"
        record = json.loads(path.read_text())
        path.unlink()

        found = server.status()
        assert (found.state, found.pid) == (ServerState.RUNNING, running.pid)
        assert found.data_dir == running.data_dir
        assert not path.exists()
        assert server.start(local_home=local_home, java_home=java_home).pid == running.pid
        # The fixture stops the server with this file, which must equal the removed one.
        again = json.loads(path.read_text())
        assert {**again, "started_at": record["started_at"]} == record

    def test_server_other_port_for_folder_raises(self, running: ServerStatus) -> None:
        other = LocalServer(free_port(), state_dir=running.state_dir)

        message = f"runs at port {running.port}, not {other.port}"
        for call in (other.start, other.stop, other.status):
            with pytest.raises(LocalServerError, match=message):
                call()

    def test_start_port_bound_without_listener_raises(
        self, start: Callable[..., ServerStatus], port: int, tmp_path: Path
    ) -> None:
        with socket.socket() as program:
            program.bind(("127.0.0.1", port))

            with pytest.raises(LocalServerError, match="Address already in use"):
                start()

        assert not (tmp_path / "state" / "server.json").exists()

    @pytest.mark.parametrize("same_folder", [True, False])
    def test_start_two_at_once_starts_one(
        self,
        local_home: Path,
        tmp_path: Path,
        port: int,
        same_folder: bool,
    ) -> None:
        code = (
            "import sys, pathlib; from quill_models.local import LocalServer\n"
            "server = LocalServer(int(sys.argv[1]), state_dir=pathlib.Path(sys.argv[2]))\n"
            "status = server.start(local_home=pathlib.Path(sys.argv[3]), in_memory=True)\n"
            "print(status.state.name, status.pid)"
        )
        folders = [tmp_path / "state", tmp_path / ("state" if same_folder else "other")]
        processes = [python(code, port, folder, local_home) for folder in folders]
        states = sorted(process.communicate(timeout=90)[0].split() for process in processes)

        try:
            assert len(javas_with(str(tmp_path))) == 1
            [pid] = javas_with(str(tmp_path))
            assert states[1] == ["STARTED", str(pid)]
            assert states[0] == (
                ["ALREADY_RUNNING", str(pid)] if same_folder else ["FOREIGN", "None"]
            )
        finally:
            for folder in folders:
                LocalServer(port, state_dir=folder).stop()

    def test_start_after_killed_start_uses_its_server(
        self, local_home: Path, start: Callable[..., ServerStatus], tmp_path: Path, port: int
    ) -> None:
        code = (
            "import sys, pathlib; from quill_models.local import LocalServer\n"
            "server = LocalServer(int(sys.argv[1]), state_dir=pathlib.Path(sys.argv[2]))\n"
            "server.start(local_home=pathlib.Path(sys.argv[3]))"
        )
        with python(code, port, tmp_path / "state", local_home) as starter:
            while not javas_with(str(tmp_path)):
                assert starter.poll() is None
            starter.kill()

        status = start()

        assert status.state is ServerState.ALREADY_RUNNING
        assert javas_with(str(tmp_path)) == [status.pid]


def test_launch_java_accepts_every_option(
    local_home: Path, java_home: Path | None, tmp_path: Path
) -> None:
    """Java exits with an error if it does not know an option."""
    launch = Launch(local_home, find_java(java_home), folder=tmp_path)
    done = subprocess.run(
        [*launch.command(port=1), "-help"],
        cwd=local_home,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "usage: java" in done.stdout
    assert list(tmp_path.iterdir()) == []
