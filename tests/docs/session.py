"""Executes the steps of a page in one shell, starting in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.page import Command, File, Script, Step
from tests.docs.transcript import difference

__all__ = ["Session"]

# Settings of the machine that runs the tests must not change the output.
_NOT_INHERITED = re.compile(
    r"(AWS_|QUILL_|DYNAMODB_ENDPOINT|DATA_BACKEND|PYTEST_|COVERAGE_|COLUMNS|LINES|FORCE_COLOR).*"
)
_SECONDS = 180
# Each command starts with the environment and the folder of the command before, as in a shell.
_COMMAND = """
trap 'status=$?; export -p > "$0"; pwd > "$0.folder"; exit $status' EXIT
if [ -e "$0" ]; then . "$0"; fi
eval "$1"
"""


class Session:
    """A folder and a shell environment for the steps of a page.

    Args:
        folder: Empty folder. The page starts in its subfolder ``session``.
        environ: Additional environment variables.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._start = folder / "session"
        self._start.mkdir()
        self._shell = folder / "shell"
        self._printed = folder / "printed"
        inherited = {
            name: value for name, value in os.environ.items() if not _NOT_INHERITED.fullmatch(name)
        }
        self._environ = {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            # Both streams are written to one file, in the order of a terminal.
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_STATE_HOME": str(folder / "state"),
            **environ,
        }

    def run(self, steps: list[Step], name: str) -> list[str]:
        """Run the steps, and return the differences from the page, each as ``page:line: …``.

        It stops at the first command or script that fails, because later steps depend on it. It
        continues after a differences output.
        """
        differences = []
        for step in steps:
            if isinstance(step, File):
                self._write(step)
                continue
            command = step.text if isinstance(step, Command) else self._script(step)
            exits = step.exits if isinstance(step, Command) else 0
            status, printed = self._execute(command)
            where = f"{name}:{step.line}: $ {command}"
            if status != exits:
                ended = "timed out" if status is None else f"exit status {status}, not {exits}"
                differences.append(f"{where}\n{ended}\n" + "\n".join(printed))
                break
            if isinstance(step, Command) and step.shown is not None:
                found = difference(step.shown, printed)
                if found:
                    differences.append(f"{where}\n{found}")
        return differences

    @property
    def _folder(self) -> Path:
        """The working folder after the last command."""
        folder = self._shell.with_suffix(".folder")
        return Path(folder.read_text().rstrip("\n")) if folder.exists() else self._start

    def _write(self, file: File) -> None:
        path = self._folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")

    def _script(self, script: Script) -> str:
        path = self._folder / f"line_{script.line}.py"
        # Empty lines before the code give tracebacks the line numbers of the page.
        path.write_text("\n" * (script.line - 1) + script.code, encoding="utf-8")
        test = "-m pytest -q -p no:cacheprovider " if script.is_test else ""
        return f"python -W error {test}{shlex.quote(path.name)}"

    def _execute(self, command: str) -> tuple[int | None, list[str]]:
        # A file instead of a pipe, because a server in the background keeps a pipe open.
        with self._printed.open("w+b") as printed:
            process = subprocess.Popen(
                ["bash", "-c", _COMMAND, str(self._shell), command],
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status: int | None = process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = None
            printed.seek(0)
            return status, printed.read().decode(errors="replace").splitlines()
