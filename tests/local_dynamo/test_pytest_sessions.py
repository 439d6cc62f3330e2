"""The pytest plugin in sessions of another project: each has one server, which it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from quill_models import Settings
from tests.local_dynamo.local.servers import eventually, javas_with

USES_QUILL = """\
from quill_models import Agent, Quill

def test_created(quill: Quill) -> None:
    assert quill.agents.put(Agent(agent_id="7", name="Ada")).created
"""

# Each test records its server; two of them kill their process.
SHARES = """\
import os, pathlib, signal, pytest
from quill_models import Agent

@pytest.mark.parametrize("number", range(8))
def test_shares(quill, number):
    quill.agents.put(Agent(agent_id="7"))
    pathlib.Path(f"{number}.seen").write_text(quill.settings.endpoint)
    if number in {2, 5} and "PYTEST_XDIST_WORKER" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
"""

# Records its process, and then waits.
WAITS = """\
import os, pathlib, time

def test_waits(quill):
    pathlib.Path(f"{os.getpid()}.seen").touch()
    time.sleep(600)

def test_waits_too(quill):
    test_waits(quill)
"""

# As pytest-forked: each test runs with its fixtures in a child process.
FORKS = """\
import os
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    child = os.fork()
    if not child:
        failed = any(each.failed for each in runtestprotocol(item, log=False))
        os._exit(failed)
    item.session.testsfailed += bool(os.waitpid(child, 0)[1])
    return True
"""


class Project:
    """A project folder with tests, and its own folder for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.temporary = folder / "temporary"
        self.folder.mkdir()
        self.temporary.mkdir()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(text)

    @contextmanager
    def running(self, *options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
        """Run a session in its own process group, as a shell does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-W", "error", *options],
            cwd=self.folder,
            env=self._environ(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, *options: str, **environ: str) -> tuple[int, str]:
        """Run a session, and return its exit status and output."""
        with self.running(*options, **environ) as process:
            printed, _ = process.communicate(timeout=300)
            return process.returncode, printed

    def seen(self) -> list[Path]:
        return list(self.folder.glob("*.seen"))

    def servers(self) -> list[int]:
        """Return the processes with the temporary folder in their command line."""
        return javas_with(str(self.temporary))

    def leaves_nothing(self, within: float) -> bool:
        return eventually(
            lambda: not self.servers() and not list(self.temporary.glob("quill-*")), within
        )

    def _environ(self, changes: Mapping[str, str]) -> dict[str, str]:
        ours = ("DATA_BACKEND", "DYNAMODB_ENDPOINT", "QUILL_TABLE", "PYTEST_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        # Each server runs for seconds only, so optimised compilation does not pay.
        java = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}
        return {**kept, **java, "TMPDIR": str(self.temporary), **changes}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestServer:
    def test_session_killed_workers_share_one_server(self, project: Project) -> None:
        project.write(test_shares=SHARES)
        status, printed = project.run("-n2", "-q")
        assert "2 failed, 6 passed" in printed, printed
        assert (status, len(project.seen())) == (1, 8)
        assert len({each.read_text() for each in project.seen()}) == 1
        assert project.leaves_nothing(within=0.1)

    def test_session_forked_tests_share_one_server(self, project: Project) -> None:
        project.write(conftest=FORKS, test_shares=SHARES)
        status, printed = project.run("-p", "no:xdist")
        assert (status, len(project.seen())) == (0, 8), printed
        assert len({each.read_text() for each in project.seen()}) == 1
        assert project.leaves_nothing(within=0.1)

    # Tests of `embedded` cover sessions in one process.
    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
    def test_session_end_or_kill_stops_the_server(
        self, project: Project, end: signal.Signals
    ) -> None:
        project.write(test_waits=WAITS)
        with project.running("-n2") as process:
            assert eventually(lambda: len(project.seen()) == 2, within=300)
            assert len(project.servers()) == 1
            if end is signal.SIGINT:
                # Ctrl-C reaches all processes of the terminal.
                os.killpg(process.pid, end)
                process.communicate(timeout=300)
            else:
                process.kill()
            assert project.leaves_nothing(within=60)

    def test_session_without_quill_starts_no_server(self, project: Project) -> None:
        project.write(
            test_other=(
                "import sys\n"
                "def test_other():\n"
                "    assert 'quill_models.quill' not in sys.modules\n"
                "    assert 'pynamodb' not in sys.modules\n"
            )
        )
        status, printed = project.run("-n1")
        assert status == 0, printed
        assert project.leaves_nothing(within=0.1)


class TestProject:
    @pytest.fixture
    def endpoint(self, quill_settings: Settings) -> str:
        assert quill_settings.endpoint is not None
        return quill_settings.endpoint

    def test_project_with_its_own_quill_fixture_works(
        self, project: Project, endpoint: str
    ) -> None:
        project.write(
            conftest=(
                "import pytest\n"
                "@pytest.fixture(scope='session')\n"
                "def quill():\n"
                "    return 'a feather'\n"
            ),
            test_quill=(
                "def test_theirs(quill):\n"
                "    assert quill == 'a feather'\n"
                "def test_both(quill, quill_connect, quill_environ):\n"
                "    assert quill_connect().agents.get('7') is None\n"
            ),
        )
        status, printed = project.run(DYNAMODB_ENDPOINT=endpoint)
        assert status == 0, printed

    def test_project_without_extra_names_the_fix(self, project: Project, endpoint: str) -> None:
        project.write(conftest="import sys\nsys.modules['psutil'] = None\n", test_quill=USES_QUILL)
        status, printed = project.run(DYNAMODB_ENDPOINT=endpoint)
        assert status == 0, printed
        status, printed = project.run()
        assert status == 1
        assert "pip install 'quill-models[local]'" in printed
        assert "DYNAMODB_ENDPOINT" in printed
        # The message only, without a traceback.
        assert "Traceback" not in printed
        assert "process.py" not in printed

    def test_project_without_server_names_the_endpoint(self, project: Project) -> None:
        project.write(test_quill=USES_QUILL)
        status, printed = project.run(DYNAMODB_ENDPOINT="http://127.0.0.1:9")
        assert status == 1
        assert "http://127.0.0.1:9" in printed
        assert "client.py" not in printed

    def test_project_with_aws_backend_uses_the_test_server(
        self, project: Project, endpoint: str
    ) -> None:
        project.write(
            test_quill=(
                "from quill_models import connect\n"
                "def test_local(quill_environ):\n"
                "    with connect() as quill:\n"
                "        assert quill.settings.backend == 'dynamodb-local'\n"
                "        assert quill.agents.get('7') is None\n"
            )
        )
        strict = ("--strict-markers", "--strict-config", "--import-mode=importlib")
        status, printed = project.run(*strict, DATA_BACKEND="aws", DYNAMODB_ENDPOINT=endpoint)
        assert status == 0, printed
