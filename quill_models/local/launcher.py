"""A program of its own, not a module to import: starts Java for `process` and tells its pid.

``detached`` starts it and ends at once. Java then belongs to no process of the user's, so that
nobody has to wait for it and no terminal takes it along.

``watched`` stays Java's parent and ends it when the process that asked for it says so, ends or is
killed. Nothing in that process can do this after a SIGKILL. Linux's "signal me when my parent
dies" follows the parent's thread rather than the process, and would have to be set up between
fork and exec, which is not safe beside other threads.

Run with Python's ``-I -S``, hence the standard library only. Arguments: the mode, the folder to
run in, the log file, a folder to remove at the end (or an empty text), the pid of the process that
asks, then the command. On standard output comes one line of JSON, ``{"pid": …}`` or
``{"error": …}``.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

LOOK_AFTER_PARENT_SECONDS = 0.5
END_SECONDS = 10


def launch(folder: str, log: str, command: list[str]) -> "subprocess.Popen[bytes] | None":
    """Start the command, away from any terminal; ``None`` where it could not be started."""
    try:
        with Path(log).open("wb") as output:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),
            )
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201
        return None
    print(json.dumps({"pid": process.pid}), flush=True)  # noqa: T201
    return process


def watch(process: "subprocess.Popen[bytes]", parent: int) -> None:
    """Return when it is time to end: told so, or the parent is gone."""
    over = threading.Event()

    def wait_for_word() -> None:
        # A byte, or the end of the pipe.
        os.read(sys.stdin.fileno(), 1)
        over.set()

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: over.set())
    threading.Thread(target=wait_for_word, daemon=True).start()
    # The pipe alone is not enough: children that the parent forked hold its other end open too.
    while os.name != "posix" or os.getppid() == parent:
        if over.wait(LOOK_AFTER_PARENT_SECONDS):
            return
        # Asked after, a dead process goes; its log stays until the parent has read it.
        process.poll()


def end(process: "subprocess.Popen[bytes]") -> None:
    """End the process, gently first."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(mode: str, folder: str, log: str, scratch: str, parent: str, *command: str) -> int:
    """Do what the arguments ask for; the exit status."""
    process = launch(folder, log, list(command))
    if process is not None and mode == "watched":
        try:
            watch(process, int(parent))
        finally:
            end(process)
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0 if process is not None else 1


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    # Skips the complaint about a child that is still running: that is what it is for.
    sys.stdout.flush()
    os._exit(status)
