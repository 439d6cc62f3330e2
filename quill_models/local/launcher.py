"""A separate program that starts Java for `launch` and prints its process id.

Without an owner it exits at once. Java then has no parent that must wait for it, and closing a
terminal does not end it.

With an owner it starts a second launcher process, the watcher, and exits. The watcher is Java's
parent. It ends Java when the owner releases its lock or ends, even by SIGKILL. Linux's
``PR_SET_PDEATHSIG`` cannot do that, because it follows the parent's thread, not its process.

It runs with Python's ``-I -S``, so it uses the standard library only. Arguments: ``start``, the
file of the owner's lock (or an empty text), the working folder, the log file, a folder to remove
when the owner ends, then the command. Standard output is the process id, or the error.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

END_SECONDS = 10
DETACHED: "dict[str, Any]" = {
    "stdin": subprocess.DEVNULL,
    "start_new_session": True,
    "creationflags": getattr(subprocess, "DETACHED_PROCESS", 0),
}


def acquire_lock(file: int) -> None:
    """Wait for the lock of an open file. Closing the file or ending the process releases it."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415

        while True:
            with suppress(OSError):
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
                return
            time.sleep(0.5)
    else:
        import fcntl  # noqa: PLC0415

        # This kind of lock belongs to one process: forked children do not inherit it.
        fcntl.lockf(file, fcntl.LOCK_EX)


def main(mode: str, lock: str, folder: str, log: str, scratch: str, *command: str) -> int:
    """Start the watcher or the command, and return the exit status."""
    if mode == "start" and lock:
        watcher = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", __file__, "watch", *sys.argv[2:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **DETACHED,
        )
        print(watcher.stdout.readline().decode() if watcher.stdout else "")  # noqa: T201
        return 0
    for name in {"SIGTERM", "SIGINT", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), lambda *_: sys.exit())
    try:
        with Path(log).open("wb") as output:
            java = subprocess.Popen(  # noqa: S603
                command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, **DETACHED
            )
    except OSError as error:
        print(error)  # noqa: T201
        return 1
    print(java.pid, flush=True)  # noqa: T201
    if mode == "watch":
        try:
            # A missing file means that the owner has ended.
            with suppress(OSError), Path(lock).open("r+b") as file:
                acquire_lock(file.fileno())
        finally:
            java.terminate()
            with suppress(subprocess.TimeoutExpired):
                java.wait(END_SECONDS)
            java.kill()
            java.wait()
            shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    # A normal exit would warn about the child that is still running.
    sys.stdout.flush()
    os._exit(status)
