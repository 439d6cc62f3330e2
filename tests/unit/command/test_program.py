"""The command as a process: closed pipes, full disks, Ctrl-C, colours."""

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
def test_program_full_disk_prints_message(arguments: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*PROGRAM, *arguments.split()], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr == b"Error: Reading or writing: No space left on device\n"


def test_program_closed_pipe_prints_nothing() -> None:
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
    ("arguments", "message"),
    [
        ("list agents", "Interrupted."),
        (
            "migrate up",
            "Interrupted. Run quill migrate up again to continue from the last checkpoint.",
        ),
    ],
)
def test_program_ctrl_c_without_response_exits_with_130(
    arguments: str, message: str, as_json: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        running = subprocess.Popen(
            [*PROGRAM, *arguments.split(), *as_json],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "DYNAMODB_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}"},
        )
        # Wait until the request has arrived.
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
    assert running.returncode == INTERRUPTED
    assert err == f"Error: {message}\n"
    if as_json:
        assert json.loads(out) == {"errors": [{"type": "Interrupted", "reason": message}]}
    else:
        assert out == ""


def on_a_terminal(arguments: list[str], environ: Mapping[str, str]) -> str:
    """The output of a command whose streams are all one terminal."""
    terminal, child_end = pty.openpty()
    running = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=child_end,
        stdout=child_end,
        stderr=child_end,
        env={**os.environ, "COLUMNS": "80", **environ},
    )
    os.close(child_end)
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:
        # Linux raises it after the program has closed its end.
        pass
    running.wait(timeout=60)
    os.close(terminal)
    return shown.decode()


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        # Bold is allowed, because it is not a colour.
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_program_terminal_output_has_colours(environ: Mapping[str, str], is_coloured: bool) -> None:
    shown = on_a_terminal(["list", "agents"], {"DATA_BACKEND": "moto", **environ})
    assert "DATA_BACKEND must be" in shown
    assert bool(re.search(r"\x1b\[[0-9;]*3\d", shown)) is is_coloured


def test_program_pipe_output_has_no_colours() -> None:
    ended = subprocess.run(
        [*PROGRAM, "list", "agents"],
        capture_output=True,
        env={**os.environ, "DATA_BACKEND": "moto", "TERM": "xterm"},
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"Error: DATA_BACKEND")
    assert b"\x1b" not in ended.stderr
