"""The command as a program among others: pipes that close, full disks, Ctrl-C, colours."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from quill_models.command.failures import INTERRUPTED

pytestmark = pytest.mark.usefixtures("isolated")

PROGRAM = [sys.executable, "-c", "from quill_models.command import main; main()"]


@pytest.mark.parametrize("arguments", ["--help", "schema export --format json"])
def test_a_full_disk_is_a_message(arguments: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*PROGRAM, *arguments.split()], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr == b"Error: Reading or writing: No space left on device\n"


def test_a_reader_that_has_enough_is_no_failure_to_talk_about() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:  # noqa: PTH123
        ended = subprocess.run(
            [*PROGRAM, "schema", "export", "--format", "json"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ended.stderr == b""


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["", "json"])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("list agents", "Interrupted."),
        ("migrate up", "Interrupted. Run quill migrate up again: it goes on where it was."),
    ],
)
def test_ctrl_c_while_a_server_never_answers(arguments: str, says: str, as_json: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        running = subprocess.Popen(
            [*PROGRAM, *arguments.split(), *as_json],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "DYNAMODB_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}"},
        )
        # It has asked, and waits.
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
    assert running.returncode == INTERRUPTED
    assert err == f"Error: {says}\n"
    if as_json:
        assert json.loads(out) == {"errors": [{"type": "Interrupted", "reason": says}]}
    else:
        assert out == ""


def on_a_terminal(arguments: list[str], environ: Mapping[str, str]) -> str:
    """What a command shows where all of its streams are a terminal."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "80", **environ},
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:
        # Linux says so that the program has closed it.
        pass
    running.wait(timeout=60)
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        # Bold, as that is none.
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_colours_on_a_terminal(environ: Mapping[str, str], is_coloured: bool) -> None:
    shown = on_a_terminal(["list", "agents"], {"DATA_BACKEND": "moto", **environ})
    assert "DATA_BACKEND is 'moto'" in shown
    assert bool(re.search(r"\x1b\[[0-9;]*3\d", shown)) is is_coloured


def test_no_colours_in_a_pipe() -> None:
    ended = subprocess.run(
        [*PROGRAM, "list", "agents"],
        capture_output=True,
        env={**os.environ, "DATA_BACKEND": "moto", "TERM": "xterm"},
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"Error: DATA_BACKEND")
    assert b"\x1b" not in ended.stderr
