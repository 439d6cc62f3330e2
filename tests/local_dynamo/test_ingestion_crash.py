"""Ingestion while the server or the command is killed: the same command again makes it whole."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from quill_models import Agent, Key, Quill, Settings, connect, hubspot
from quill_models.local import LocalServer, ServerState, ServerStatus

EVENTS = 2000

Running = subprocess.Popen[str]


class Machine:
    """One with a server of its own, whose data is on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = LocalServer(free_port(), state_dir=folder / "server")
        self.settings = Settings(endpoint=self.server.endpoint)
        self._commands: list[Running] = []

    def start(self) -> ServerStatus:
        found = Settings.load(env_file=None)
        return self.server.start(local_home=found.local_home, java_home=found.java_home)

    def command(self, *arguments: object) -> Running:
        environ = {
            **os.environ,
            "DATA_BACKEND": "dynamodb-local",
            "DYNAMODB_ENDPOINT": self.server.endpoint,
            "QUILL_TABLE": self.settings.table,
        }
        code = "from quill_models.command import main; main()"
        running = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=environ,
        )
        self._commands.append(running)
        return running

    def end(self) -> None:
        for running in self._commands:
            running.kill()
            running.communicate()
        self.server.stop()


def free_port() -> int:
    # Below those that outgoing connections get: it has to stay free while the server is restarted.
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311
        with socket.socket() as found, suppress(OSError):
            found.bind(("", port))
            return port


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A new one for each test: DynamoDB Local on disk slows down with every table it had."""
    machine = Machine(tmp_path)
    machine.start()
    yield machine
    machine.end()


@pytest.fixture
def quill(machine: Machine) -> Iterator[Quill]:
    with connect(machine.settings) as quill:
        quill.schema.apply()
        yield quill


@pytest.fixture
def deliveries(machine: Machine) -> Path:
    """Deliveries of a hundred events, one a line."""
    path = machine.folder / "deliveries.jsonl"
    events = [
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
        for number in range(EVENTS)
    ]
    bodies = [json.dumps(events[at : at + 100]) for at in range(0, EVENTS, 100)]
    path.write_text("\n".join(bodies) + "\n")
    return path


def stored(quill: Quill) -> list[int]:
    """The ids of the events that are stored, each as often as it is."""
    pending = quill.webhook_events.list_by_status(hubspot.SOURCE, "pending")
    return sorted(event.payload["eventId"] for event in pending)


def wait_until_stored(quill: Quill, number: int, running: Running) -> None:
    # Of the first, a seventh is about this object; to count all would keep the server busy.
    about = quill.webhook_events.list_by_object(hubspot.SOURCE, "contact", "100")
    deadline = time.monotonic() + 60
    while about.count() * 7 < number:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_whole_after_another_run(machine: Machine, quill: Quill, deliveries: Path) -> None:
    before = stored(quill)
    assert len(before) == len(set(before))
    again = machine.command("ingest", "hubspot", "--json", deliveries)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert json.loads(out)["total"] == {
        "events": EVENTS,
        "created": EVENTS - len(before),
        "duplicate": len(before),
        "conflict": 0,
    }
    assert stored(quill) == list(range(EVENTS))
    by_object = Counter[int]()
    for number in range(7):
        found = quill.webhook_events.list_by_object(hubspot.SOURCE, "contact", str(100 + number))
        by_object.update(event.payload["eventId"] for event in found)
    assert by_object == Counter(range(EVENTS))


def test_the_server_is_killed(machine: Machine, quill: Quill, deliveries: Path) -> None:
    running = machine.command("ingest", "hubspot", deliveries)
    wait_until_stored(quill, 300, running)
    pid = machine.server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _, message = running.communicate(timeout=120)
    assert running.returncode == 1, "the ingestion was over before the server was killed"
    assert "Traceback" not in message
    assert machine.server.endpoint in message
    assert "again" in message

    assert machine.start().state is ServerState.STARTED
    already = len(stored(quill))
    assert 300 <= already < EVENTS
    is_whole_after_another_run(machine, quill, deliveries)


def test_the_command_is_killed(machine: Machine, quill: Quill, deliveries: Path) -> None:
    for number in (1, 600):
        running = machine.command("ingest", "hubspot", deliveries)
        wait_until_stored(quill, number, running)
        # Anywhere within a transaction.
        time.sleep(random.uniform(0, 0.15))  # noqa: S311
        running.kill()
        running.communicate()
        assert running.returncode == -signal.SIGKILL
    assert len(stored(quill)) < EVENTS
    is_whole_after_another_run(machine, quill, deliveries)
    # What the killed ones left behind says that it is running until its lease ends.
    assert quill.job_runs.list_by_status("running").count() == 2


def test_stop_and_start_lose_nothing(machine: Machine, quill: Quill) -> None:
    quill.agents.put_many(
        Agent(agent_id=str(n), team="t", external_ids={"a": str(n)}) for n in range(50)
    )
    quill.store.put(Key("a", "b"), {"n": 1})
    with quill.job_runs.start("job", "w") as run:
        run.save_checkpoint({"page": 1})
    assert machine.server.stop().state is ServerState.STOPPED
    assert machine.start().state is ServerState.STARTED
    assert quill.schema.apply() == []
    assert quill.agents.list_by_team("t").count() == 50
    assert quill.agents.get_by_external_id("a", "49") is not None
    assert quill.store.get(Key("a", "b")) == {"n": 1}
    found = quill.job_runs.get("job", "w")
    assert found is not None
    assert (found.status, found.checkpoint) == ("succeeded", {"page": 1})
