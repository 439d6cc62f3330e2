"""The real DynamoDB Local, started and ended in the ways that happen."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import botocore.session
import psutil
import pytest

from quill_models.errors import LocalServerError
from quill_models.local import (
    LocalServer,
    ServerState,
    ServerStatus,
    embedded,
    find_java,
    find_or_fetch,
)
from quill_models.local.process import command_line
from quill_models.settings import Settings

TABLE = "kept"


@pytest.fixture(scope="module")
def java_home() -> Path | None:
    return Settings.load(env_file=None).java_home


@pytest.fixture(scope="module")
def local_home() -> Path:
    """Fetched once per user, as the package itself does it."""
    return find_or_fetch(Settings.load(env_file=None).local_home)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start(
    local_home: Path, java_home: Path | None, tmp_path: Path, port: int
) -> Iterator[Callable[..., ServerStatus]]:
    def call(**options: Any) -> ServerStatus:
        server = LocalServer(port, state_dir=tmp_path / "state")
        return server.start(local_home=local_home, java_home=java_home, **options)

    yield call
    LocalServer(port, state_dir=tmp_path / "state").stop()
    assert javas_with(str(tmp_path)) == []


@pytest.fixture
def server(port: int, tmp_path: Path) -> LocalServer:
    return LocalServer(port, state_dir=tmp_path / "state")


def free_port() -> int:
    # Below those that outgoing connections get: it has to stay free while a server is restarted.
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311
        with socket.socket() as found, suppress(OSError):
            found.bind(("", port))
            return port


def client(endpoint: str) -> Any:
    return botocore.session.Session().create_client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-west-2",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


def put(endpoint: str, key: str) -> None:
    dynamodb = client(endpoint)
    if TABLE not in dynamodb.list_tables()["TableNames"]:
        dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": key}})
    dynamodb.close()


def has(endpoint: str, key: str) -> bool:
    dynamodb = client(endpoint)
    found = "Item" in dynamodb.get_item(TableName=TABLE, Key={"pk": {"S": key}})
    dynamodb.close()
    return found


def javas_with(text: str) -> list[int]:
    """The running Java processes with this text in their command lines."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and process.info["cmdline"]
        and Path(process.info["cmdline"][0]).name == "java"
        and text in " ".join(process.info["cmdline"])
    ]


def eventually(holds: Callable[[], bool], within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def is_gone(pid: int, within: float = 5.0) -> bool:
    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return eventually(gone, within)


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


class TestBackground:
    def test_its_life(
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

    def test_it_belongs_to_no_terminal_and_to_nobody(
        self, start: Callable[..., ServerStatus]
    ) -> None:
        pid = start(in_memory=True).pid
        assert pid is not None

        java = psutil.Process(pid)
        assert os.getsid(pid) != os.getsid(0)
        assert java.ppid() != os.getpid()
        assert java.terminal() is None

    def test_in_memory_nothing_is_kept(
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

    def test_a_data_folder_of_ones_own(
        self, start: Callable[..., ServerStatus], server: LocalServer, tmp_path: Path
    ) -> None:
        own = tmp_path / "a folder" / "of my own"
        started = start(data_dir=own)
        put(started.endpoint, "before")

        assert started.data_dir == own
        # What is asked for of a running server changes nothing, and the answer says so.
        assert start().data_dir == own
        server.stop()
        assert [path.suffix for path in own.iterdir()] == [".db"]

    def test_killed_it_is_started_again_with_its_data(
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

    def test_hanging_it_is_said_to_and_can_be_stopped(
        self, start: Callable[..., ServerStatus], server: LocalServer
    ) -> None:
        pid = start(in_memory=True).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        # The signal has all threads stopped only a moment later.
        process = psutil.Process(pid)
        assert eventually(lambda: process.status() == psutil.STATUS_STOPPED)

        assert server.status().state is ServerState.NOT_ANSWERING
        assert server.stop().state is ServerState.STOPPED
        assert is_gone(pid)

    def test_without_its_pid_file_it_is_found_again(
        self, start: Callable[..., ServerStatus], server: LocalServer, tmp_path: Path
    ) -> None:
        started = start()
        (tmp_path / "state" / "server.json").unlink()

        found = server.status()
        assert (found.state, found.pid) == (ServerState.RUNNING, started.pid)
        assert found.data_dir == started.data_dir
        assert start().pid == started.pid
        assert server.stop().pid == started.pid

    def test_a_pid_file_from_before_a_reboot(
        self, start: Callable[..., ServerStatus], server: LocalServer, tmp_path: Path
    ) -> None:
        path = tmp_path / "state" / "server.json"
        start(in_memory=True)
        record = json.loads(path.read_text())
        server.stop()
        with subprocess.Popen(["sleep", "20"]) as innocent:
            path.write_text(json.dumps({**record, "pid": innocent.pid}))

            assert start(in_memory=True).state is ServerState.STARTED
            assert server.stop().state is ServerState.STOPPED
            assert innocent.poll() is None
            innocent.kill()

    def test_another_port_for_the_same_folder(
        self, start: Callable[..., ServerStatus], tmp_path: Path, port: int
    ) -> None:
        start(in_memory=True)
        other = LocalServer(free_port(), state_dir=tmp_path / "state")

        for call in (other.start, other.stop, other.status):
            with pytest.raises(LocalServerError, match=f"runs at port {port}, not {other.port}"):
                call()

    def test_the_port_of_another_programs(
        self, start: Callable[..., ServerStatus], port: int
    ) -> None:
        with socket.socket() as program:
            program.bind(("127.0.0.1", port))
            program.listen()

            with pytest.raises(LocalServerError, match=f"Port {port} is taken by another program"):
                start()

    def test_a_port_taken_where_nobody_answers(
        self, start: Callable[..., ServerStatus], port: int, tmp_path: Path
    ) -> None:
        with socket.socket() as program:
            program.bind(("127.0.0.1", port))

            with pytest.raises(LocalServerError, match="Address already in use"):
                start()

        assert not (tmp_path / "state" / "server.json").exists()

    def test_a_server_that_someone_else_started(
        self,
        server: LocalServer,
        local_home: Path,
        java_home: Path | None,
    ) -> None:
        with embedded(local_home=local_home, java_home=java_home) as foreign:
            ours = LocalServer(foreign.port, state_dir=server.state_dir)
            for call in (ours.start, ours.status, ours.stop):
                assert call().state is ServerState.FOREIGN
            assert psutil.pid_exists(foreign.pid)

    @pytest.mark.parametrize("same_folder", [True, False])
    def test_two_starts_at_once(
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
        said = sorted(process.communicate(timeout=90)[0].split() for process in processes)

        try:
            assert len(javas_with(str(tmp_path))) == 1
            [pid] = javas_with(str(tmp_path))
            assert said[1] == ["STARTED", str(pid)]
            assert said[0] == (
                ["ALREADY_RUNNING", str(pid)] if same_folder else ["FOREIGN", "None"]
            )
        finally:
            for folder in folders:
                LocalServer(port, state_dir=folder).stop()

    def test_a_start_that_is_killed_leaves_nothing_stuck(
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


class TestEmbedded:
    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr("tempfile.tempdir", None)
        return folder

    def test_leaves_nothing(
        self, local_home: Path, java_home: Path | None, temporary: Path
    ) -> None:
        with embedded(local_home=local_home, java_home=java_home) as server:
            put(server.endpoint, "x")
            assert has(server.endpoint, "x")
            assert server.data_dir is None
            assert server.log.is_file()

        assert is_gone(server.pid, within=0.1)
        assert list(temporary.iterdir()) == []
        assert not server.log.exists()

    def test_a_given_folder_stays(
        self, local_home: Path, java_home: Path | None, tmp_path: Path, temporary: Path
    ) -> None:
        where = {"folder": tmp_path / "mine", "local_home": local_home, "java_home": java_home}
        with embedded(in_memory=False, **where) as server:  # type: ignore[arg-type]
            put(server.endpoint, "x")
            assert server.data_dir == tmp_path / "mine" / "data"
        with embedded(in_memory=False, **where) as server:  # type: ignore[arg-type]
            assert has(server.endpoint, "x")

        assert list(temporary.iterdir()) == []

    def test_two_are_apart(self, local_home: Path, java_home: Path | None) -> None:
        with (
            embedded(local_home=local_home, java_home=java_home) as one,
            embedded(local_home=local_home, java_home=java_home) as two,
        ):
            put(one.endpoint, "x")
            put(two.endpoint, "y")
            assert not has(two.endpoint, "x")

    def test_an_error_in_the_block(
        self, local_home: Path, java_home: Path | None, temporary: Path
    ) -> None:
        with (
            pytest.raises(KeyboardInterrupt),
            embedded(local_home=local_home, java_home=java_home) as server,
        ):
            raise KeyboardInterrupt

        assert is_gone(server.pid, within=0.1)
        assert list(temporary.iterdir()) == []

    def test_the_server_is_killed_inside(
        self, local_home: Path, java_home: Path | None, temporary: Path
    ) -> None:
        with embedded(local_home=local_home, java_home=java_home) as server:
            os.kill(server.pid, signal.SIGKILL)
            assert is_gone(server.pid)

        assert list(temporary.iterdir()) == []

    def test_the_watcher_is_killed_inside(
        self, local_home: Path, java_home: Path | None, temporary: Path
    ) -> None:
        with embedded(local_home=local_home, java_home=java_home) as server:
            watcher = psutil.Process(server.pid).ppid()
            os.kill(watcher, signal.SIGKILL)

        assert is_gone(server.pid)
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
    @pytest.mark.parametrize("forked", [False, True])
    def test_the_parent_is_killed(
        self, local_home: Path, temporary: Path, end: signal.Signals, forked: bool
    ) -> None:
        # A forked child inherits all pipes, and lives on.
        code = (
            "import sys, os, time, pathlib; from quill_models.local import embedded\n"
            "with embedded(local_home=pathlib.Path(sys.argv[1]), java_home=None) as server:\n"
            "    child = os.fork() if sys.argv[2] == 'True' else -1\n"
            "    if child: print(server.pid, child, flush=True)\n"
            "    time.sleep(60)"
        )
        with python(code, local_home, forked) as parent:
            assert parent.stdout is not None
            server, child = map(int, parent.stdout.readline().split())
            watcher = psutil.Process(server).ppid()
            assert len(list(temporary.iterdir())) == 1
            parent.send_signal(end)
            parent.wait()
            try:
                assert is_gone(server)
                assert is_gone(watcher)
            finally:
                if forked:
                    os.kill(child, signal.SIGKILL)

        assert list(temporary.iterdir()) == []

    def test_a_forked_child_leaves_it_alone(self, local_home: Path) -> None:
        code = (
            "import sys, os, pathlib; from quill_models.local import embedded\n"
            "from quill_models.local.probe import probe\n"
            "with embedded(local_home=pathlib.Path(sys.argv[1]), java_home=None) as server:\n"
            "    child = os.fork()\n"
            "    if child: os.waitpid(child, 0); print(probe(server.port).name)\n"
        )
        with python(code, local_home) as parent:
            assert parent.communicate(timeout=60)[0] == "DYNAMODB_LOCAL\n"

    def test_a_port_that_is_lost_is_replaced(
        self,
        local_home: Path,
        java_home: Path | None,
        monkeypatch: pytest.MonkeyPatch,
        temporary: Path,
    ) -> None:
        # Chance cannot be arranged: the first port offered is one that another server has.
        with embedded(local_home=local_home, java_home=java_home) as first:
            ports = iter([first.port, free_port()])
            monkeypatch.setattr(
                "quill_models.local.embedded_server._free_port", lambda: next(ports)
            )
            with embedded(local_home=local_home, java_home=java_home) as second:
                assert second.port != first.port
                put(second.endpoint, "x")

        assert list(temporary.iterdir()) == []


def test_every_java_of_this_machine_will_do(
    local_home: Path, java_home: Path | None, tmp_path: Path
) -> None:
    """Unknown options would end it at once."""
    done = subprocess.run(
        [*command_line(find_java(java_home), port=1, data_dir=None, temporary=tmp_path), "-help"],
        cwd=local_home,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "usage: java" in done.stdout
    assert list(tmp_path.iterdir()) == []
