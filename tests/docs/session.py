"""Does what a page says, in an empty folder, as its reader would in one shell."""

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

# What the machine that runs the tests has set must not decide what a page shows.
_NOT_INHERITED = re.compile(
    r"(AWS_|QUILL_|DYNAMODB_ENDPOINT|DATA_BACKEND|PYTEST_|COVERAGE_|COLUMNS|LINES|FORCE_COLOR).*"
)
_SECONDS = 180
# The environment and the folder outlive a command, as they do in a shell.
_COMMAND = """
trap 'status=$?; export -p > "$0"; pwd > "$0.folder"; exit $status' EXIT
if [ -e "$0" ]; then . "$0"; fi
eval "$1"
"""


class Session:
    """A folder and a shell's environment, in which the steps of a page are done in order.

    Args:
        folder: an empty folder; the page begins in ``session`` below it.
        environ: what is set besides.
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
            # Both streams go to one file, in the order in which a terminal would show them.
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_STATE_HOME": str(folder / "state"),
            **environ,
        }

    def run(self, steps: list[Step], name: str) -> list[str]:
        """What is not as the page says, each as ``page:line: …``.

        It ends with the first command or script that fails, as those below build on it. A wrong
        output does not end it.
        """
        wrong = []
        for step in steps:
            if isinstance(step, File):
                self._write(step)
                continue
            command = step.text if isinstance(step, Command) else self._script(step)
            exits = step.exits if isinstance(step, Command) else 0
            status, printed = self._do(command)
            where = f"{name}:{step.line}: $ {command}"
            if status != exits:
                ended = "did not end" if status is None else f"exit status {status}, not {exits}"
                wrong.append(f"{where}\n{ended}\n" + "\n".join(printed))
                break
            if isinstance(step, Command) and step.shown is not None:
                found = difference(step.shown, printed)
                if found:
                    wrong.append(f"{where}\n{found}")
        return wrong

    @property
    def _here(self) -> Path:
        """Where the last command left the shell."""
        folder = self._shell.with_suffix(".folder")
        return Path(folder.read_text().rstrip("\n")) if folder.exists() else self._start

    def _write(self, file: File) -> None:
        path = self._here / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")

    def _script(self, script: Script) -> str:
        path = self._here / f"line_{script.line}.py"
        # Below as many empty lines, so that a traceback has the page's numbers.
        path.write_text("\n" * (script.line - 1) + script.code, encoding="utf-8")
        test = "-m pytest -q -p no:cacheprovider " if script.is_test else ""
        return f"python -W error {test}{shlex.quote(path.name)}"

    def _do(self, command: str) -> tuple[int | None, list[str]]:
        # A file rather than a pipe: a server that the command leaves behind keeps a pipe open.
        with self._printed.open("w+b") as printed:
            process = subprocess.Popen(
                ["bash", "-c", _COMMAND, str(self._shell), command],
                cwd=self._here,
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
