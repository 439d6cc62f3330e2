"""`embedded` with the real DynamoDB Local, which ends with its process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from quill_models.local import EmbeddedServer, embedded
from tests.local_dynamo.local.servers import free_port, has, is_gone, put, python


@pytest.fixture(scope="module")
def first(local_home: Path, java_home: Path | None) -> Iterator[EmbeddedServer]:
    """A running server, for the tests of a second one."""
    with embedded(local_home=local_home, java_home=java_home) as server:
        yield server


class TestEmbedded:
    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr("tempfile.tempdir", None)
        return folder

    def test_embedded_given_folder_is_kept(
        self, local_home: Path, java_home: Path | None, tmp_path: Path, temporary: Path
    ) -> None:
        options: dict[str, Any] = {
            "folder": tmp_path / "mine",
            "local_home": local_home,
            "java_home": java_home,
        }
        with embedded(in_memory=False, **options) as server:
            put(server.endpoint, "x")
            assert server.data_dir == tmp_path / "mine" / "data"
        with embedded(in_memory=False, **options) as server:
            assert has(server.endpoint, "x")

        assert list(temporary.iterdir()) == []

    def test_embedded_error_in_block_ends_server(
        self, local_home: Path, java_home: Path | None, temporary: Path
    ) -> None:
        with (
            pytest.raises(KeyboardInterrupt),
            embedded(local_home=local_home, java_home=java_home) as server,
        ):
            put(server.endpoint, "x")
            assert has(server.endpoint, "x")
            assert server.data_dir is None
            assert server.log.is_file()
            raise KeyboardInterrupt

        assert is_gone(server.pid, within=0.1)
        assert list(temporary.iterdir()) == []
        assert not server.log.exists()

    def test_embedded_killed_server_leaves_nothing(
        self, local_home: Path, java_home: Path | None, temporary: Path
    ) -> None:
        with embedded(local_home=local_home, java_home=java_home) as server:
            os.kill(server.pid, signal.SIGKILL)
            assert is_gone(server.pid)

        assert list(temporary.iterdir()) == []

    def test_embedded_killed_watcher_leaves_nothing(
        self, local_home: Path, java_home: Path | None, temporary: Path
    ) -> None:
        with embedded(local_home=local_home, java_home=java_home) as server:
            watcher = psutil.Process(server.pid).ppid()
            os.kill(watcher, signal.SIGKILL)

        assert is_gone(server.pid)
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize(
        ("end", "forked"),
        [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGKILL, True)],
    )
    def test_embedded_killed_owner_ends_server(
        self, local_home: Path, temporary: Path, end: signal.Signals, forked: bool
    ) -> None:
        # A forked child inherits all pipes and outlives its parent.
        code = (
            "import sys, os, time, pathlib; from quill_models.local import embedded\n"
            "with embedded(local_home=pathlib.Path(sys.argv[1])) as server:\n"
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

    def test_embedded_forked_child_keeps_server(self, local_home: Path) -> None:
        code = (
            "import sys, os, pathlib; from quill_models.local import embedded\n"
            "from quill_models.local.probe import probe\n"
            "with embedded(local_home=pathlib.Path(sys.argv[1])) as server:\n"
            "    child = os.fork()\n"
            "    if child: os.waitpid(child, 0); print(probe(server.port).name)\n"
        )
        with python(code, local_home) as parent:
            assert parent.communicate(timeout=60)[0] == "DYNAMODB_LOCAL\n"

    def test_embedded_taken_port_is_replaced(
        self,
        first: EmbeddedServer,
        local_home: Path,
        java_home: Path | None,
        monkeypatch: pytest.MonkeyPatch,
        temporary: Path,
    ) -> None:
        # Offer the port of another server first.
        ports = iter([first.port, free_port()])
        monkeypatch.setattr("quill_models.local.launch._free_port", lambda: next(ports))
        with embedded(local_home=local_home, java_home=java_home) as second:
            assert second.port != first.port
            put(second.endpoint, "x")

        assert list(temporary.iterdir()) == []
