"""Ingestion while the server or the command is killed: the same command again makes it whole."""

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from quill_models import Agent, Key, Quill, Settings, connect, hubspot
from quill_models.local import LocalServer, ServerState, ServerStatus
from tests.local_dynamo.support import SECOND

Running = subprocess.Popen[str]

COMMAND = "from quill_models.command import main; main()"


class Shell:
    """Runs commands, and kills them when it ends."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._commands: list[Running] = []

    def run(self, *arguments: object, code: str = COMMAND) -> Running:
        environ = {
            **os.environ,
            "DATA_BACKEND": "dynamodb-local",
            "DYNAMODB_ENDPOINT": str(self._settings.endpoint),
            "QUILL_TABLE": self._settings.table,
            "QUILL_DEADLINE_SECONDS": str(self._settings.deadline.total_seconds()),
        }
        running = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder,
            env=environ,
        )
        self._commands.append(running)
        return running

    def end(self) -> None:
        for running in self._commands:
            running.kill()
            running.communicate()


@contextmanager
def a_shell(quill: Quill, folder: Path) -> Iterator[Shell]:
    shell = Shell(quill.settings, folder)
    try:
        yield shell
    finally:
        shell.end()


class Machine:
    """One with a server of its own, whose data is on disk."""

    def __init__(self, folder: Path) -> None:
        self.server = LocalServer(free_port(), state_dir=folder / "server")
        # A killed server stays away while a command runs.
        self.settings = Settings(endpoint=self.server.endpoint, deadline=SECOND)
        self.shell = Shell(self.settings, folder)

    def start(self) -> ServerStatus:
        found = Settings.load(env_file=None)
        return self.server.start(local_home=found.local_home, java_home=found.java_home)

    def end(self) -> None:
        self.shell.end()
        self.server.stop()


def free_port() -> int:
    # Below those that outgoing connections get: it has to stay free while the server is restarted.
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311
        with socket.socket() as found, suppress(OSError):
            found.bind(("", port))
            return port


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    machine.start()
    yield machine
    machine.end()


@pytest.fixture(scope="module")
def on_disk(machine: Machine) -> Iterator[Quill]:
    with connect(machine.settings) as quill:
        # With a stream, DynamoDB Local would read all its records with each write.
        quill.schema.apply(stream=False)
        yield quill


@contextmanager
def fresh_table(endpoint: str) -> Iterator[Quill]:
    settings = Settings(endpoint=endpoint, table=f"quill-test-{secrets.token_hex(8)}")
    with connect(settings) as quill:
        quill.schema.apply(stream=False)
        yield quill
        quill.schema.delete_table()


def deliveries_of(events: int, folder: Path) -> Path:
    """Deliveries of a hundred events, one a line."""
    path = folder / "deliveries.jsonl"
    given = [
        {
            "eventId": number,
            "subscriptionId": 5120331,
            "portalId": 48210977,
            "appId": 4410286,
            "occurredAt": 1765043528476 + number,
            "subscriptionType": "contact.propertyChange",
            "attemptNumber": 0,
            "objectId": 100 + number % 7,
            "propertyName": "lifecyclestage",
            "propertyValue": "lead",
        }
        for number in range(events)
    ]
    bodies = [json.dumps(given[at : at + 100]) for at in range(0, events, 100)]
    path.write_text("\n".join(bodies) + "\n")
    return path


def stored(quill: Quill) -> list[int]:
    """Return the ids of the stored events, sorted."""
    pending = quill.webhook_events.list_by_status(hubspot.SOURCE, "pending")
    return sorted(event.payload["eventId"] for event in pending)


def wait_until_stored(quill: Quill, number: int, running: Running) -> None:
    # A seventh of the events is about this object. To count all would keep the server busy.
    about = quill.webhook_events.list_by_object(hubspot.SOURCE, "contact", "100")
    deadline = time.monotonic() + 60
    while about.count() * 7 < number:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Rerun(NamedTuple):
    """The number of events stored before it, and its duration in seconds."""

    already: int
    took: float


def is_whole_after_another_run(shell: Shell, quill: Quill, deliveries: Path, events: int) -> Rerun:
    before = stored(quill)
    assert len(before) == len(set(before))
    began = time.monotonic()
    again = shell.run("ingest", "hubspot", "--json", deliveries)
    out, err = again.communicate(timeout=120)
    took = time.monotonic() - began
    assert again.returncode == 0, err
    assert json.loads(out)["total"] == {
        "events": events,
        "created": events - len(before),
        "duplicate": len(before),
        "conflict": 0,
    }
    assert stored(quill) == list(range(events))
    by_object = Counter[int]()
    for number in range(7):
        found = quill.webhook_events.list_by_object(hubspot.SOURCE, "contact", str(100 + number))
        by_object.update(event.payload["eventId"] for event in found)
    assert by_object == Counter(range(events))
    return Rerun(len(before), took)


def test_ingest_server_killed_rerun_completes(
    machine: Machine, on_disk: Quill, tmp_path: Path
) -> None:
    events = 700
    deliveries = deliveries_of(events, tmp_path)
    running = machine.shell.run("ingest", "hubspot", deliveries)
    wait_until_stored(on_disk, 70, running)
    pid = machine.server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _, message = running.communicate(timeout=120)
    assert running.returncode == 1, "the ingestion was over before the server was killed"
    assert "Traceback" not in message
    assert machine.server.endpoint in message
    assert "again" in message

    assert machine.start().state is ServerState.STARTED
    rerun = is_whole_after_another_run(machine.shell, on_disk, deliveries, events)
    assert 70 <= rerun.already < events


class Pace:
    """How long the command takes, as it was last seen: other work may slow it, or have ended."""

    def __init__(self, shell: Shell, quill: Quill, deliveries: Path) -> None:
        began = time.monotonic()
        running = shell.run("ingest", "hubspot", deliveries)
        wait_until_stored(quill, 1, running)
        first_write = time.monotonic() - began
        running.communicate()
        self.whole = time.monotonic() - began
        self._before_writing = first_write / self.whole

    def moments(self, number: int) -> list[float]:
        """Parts of the whole, over all of it, in any order; most of them while it writes."""
        spread = [(at + random.random()) / number for at in range(number)]  # noqa: S311
        random.shuffle(spread)
        early = self._before_writing
        return [
            early * part if at % 5 == 0 else early + (1 - early) * part
            for at, part in enumerate(spread)
        ]


@pytest.mark.soak
def test_ingest_command_killed_rerun_completes(
    quill_endpoint: str, tmp_path: Path, soak: bool
) -> None:
    tables, events = (50, 1000) if soak else (1, 300)
    deliveries = deliveries_of(events, tmp_path)
    with fresh_table(quill_endpoint) as quill, a_shell(quill, tmp_path) as shell:
        pace = Pace(shell, quill, deliveries)
    kills = 2 * tables
    moments = pace.moments(kills)
    midway = 0
    for _ in range(tables):
        with fresh_table(quill_endpoint) as quill, a_shell(quill, tmp_path) as shell:
            left_running = 0
            # The second finds what the first has left.
            for moment in (moments.pop(), moments.pop()):
                before = len(stored(quill))
                running = shell.run("ingest", "hubspot", deliveries)
                with suppress(subprocess.TimeoutExpired):
                    running.wait(moment * pace.whole)
                running.kill()
                running.communicate()
                left_running += before < len(stored(quill)) < events
            pace.whole = is_whole_after_another_run(shell, quill, deliveries, events).took
            # A killed run has the status running until it is taken over.
            assert quill.job_runs.list_by_status("running").count() >= left_running
            midway += left_running
    # Some go by before the first write, and the second of a table may find all there.
    assert midway >= kills // 5


def test_server_stop_and_start_keeps_everything(machine: Machine, on_disk: Quill) -> None:
    on_disk.agents.put_many(
        Agent(agent_id=str(n), team="t", external_ids={"a": str(n)}) for n in range(50)
    )
    on_disk.store.put(Key("a", "b"), {"n": 1})
    with on_disk.job_runs.start("job", "w") as run:
        run.save_checkpoint({"page": 1})
    assert machine.server.stop().state is ServerState.STOPPED
    assert machine.start().state is ServerState.STARTED
    assert on_disk.schema.apply(stream=False) == []
    assert on_disk.agents.list_by_team("t").count() == 50
    assert on_disk.agents.get_by_external_id("a", "49") is not None
    assert on_disk.store.get(Key("a", "b")) == {"n": 1}
    found = on_disk.job_runs.get("job", "w")
    assert found is not None
    assert (found.status, found.checkpoint) == ("succeeded", {"page": 1})
