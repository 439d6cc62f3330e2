"""A program of its own, not a module to import: starts Java for `process` and tells its pid.

``detached`` starts it and ends at once. Java then belongs to no process of the user's, so that
nobody has to wait for it and no terminal takes it along.

``watched`` stays Java's parent and ends it when the process that asked for it says so, ends or is
killed. Nothing in that process can do this after a SIGKILL. Linux's "signal me when my parent
dies" follows the parent's thread rather than the process, and would have to be set up between
fork and exec, which is not safe beside other threads.

``held`` starts a process that stays Java's parent and ends it when whoever holds a lock lets go of
it, ends or is killed; the process that asked for it may end long before that.

Run with Python's ``-I -S``, hence the standard library only. Arguments: the mode, the folder to
run in, the log file, a folder to remove at the end (or an empty text), the pid of the process that
asks or the file of the lock, then the command. On standard output comes one line of JSON,
``{"pid": …}`` or ``{"error": …}``.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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
    # The pipe alone is not enough: children that the parent forked hold its other end open too.
    # On standard input comes a byte, or the end of the pipe.
    wait(
        process,
        until=lambda: os.read(sys.stdin.fileno(), 1),
        or_not=lambda: os.name != "posix" or os.getppid() == parent,
    )


def wait(
    process: "subprocess.Popen[bytes]",
    *,
    until: "Callable[[], object]",
    or_not: "Callable[[], bool]" = lambda: True,
) -> None:
    """Return when one function returns, the other is no longer true, or a signal comes."""
    over = threading.Event()

    def wait_for_word() -> None:
        until()
        over.set()

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: over.set())
    threading.Thread(target=wait_for_word, daemon=True).start()
    while or_not():
        if over.wait(LOOK_AFTER_PARENT_SECONDS):
            return
        # Asked after, a dead process goes; its log stays until the parent has read it.
        process.poll()


def released(lock: str) -> None:
    """Return when nobody holds the lock any more, or its file is gone."""
    try:
        with Path(lock).open("r+b") as file:
            if sys.platform == "win32":
                import msvcrt  # noqa: PLC0415

                while True:
                    try:
                        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    except OSError:
                        time.sleep(LOOK_AFTER_PARENT_SECONDS)
                    else:
                        return
            import fcntl  # noqa: PLC0415

            fcntl.lockf(file, fcntl.LOCK_EX)
    except OSError:
        return


def hand_over(arguments: list[str]) -> int:
    """Go on in a process that is no child of whoever asked, and pass on its one line."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", __file__, "holding", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),
    )
    line = process.stdout.readline() if process.stdout is not None else b""
    print(line.decode(), end="", flush=True)  # noqa: T201
    return 0 if b"pid" in line else 1


def end(process: "subprocess.Popen[bytes]") -> None:
    """End the process, gently first."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(mode: str, folder: str, log: str, scratch: str, owner: str, *command: str) -> int:
    """Do what the arguments ask for; the exit status."""
    if mode == "held":
        return hand_over([folder, log, scratch, owner, *command])
    process = launch(folder, log, list(command))
    if process is not None and mode != "detached":
        try:
            if mode == "watched":
                watch(process, int(owner))
            else:
                wait(process, until=lambda: released(owner))
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
