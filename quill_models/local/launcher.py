"""A program of its own, which starts Java for `launch` and tells its pid.

Without an owner it ends at once. Java then belongs to no process of the user's, so that nobody has
to wait for it and no terminal takes it along.

With an owner it hands over to a second such process, which is no child of whoever asked, stays
Java's parent, and ends Java when the owner lets go of its lock, ends or is killed, also by SIGKILL.
Linux's "signal me when my parent dies" follows the parent's thread rather than the process.

Run with Python's ``-I -S``, hence the standard library only. Arguments: ``start``, the file of the
owner's lock (or an empty text), the folder to run in, the log file, a folder to remove with the
owner, then the command. On standard output comes the pid, or what went wrong.
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
# Away from any terminal.
AWAY: "dict[str, Any]" = {
    "stdin": subprocess.DEVNULL,
    "start_new_session": True,
    "creationflags": getattr(subprocess, "DETACHED_PROCESS", 0),
}


def hold(file: int) -> None:
    """Lock an open file when nobody else holds it, until it is closed or this process ends."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415

        while True:
            with suppress(OSError):
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
                return
            time.sleep(0.5)
    else:
        import fcntl  # noqa: PLC0415

        # This kind of lock belongs to the process: forked children do not hold it, too.
        fcntl.lockf(file, fcntl.LOCK_EX)


def main(mode: str, lock: str, folder: str, log: str, scratch: str, *command: str) -> int:
    """Do what the arguments ask for; the exit status."""
    if mode == "start" and lock:
        watcher = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", __file__, "watch", *sys.argv[2:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **AWAY,
        )
        print(watcher.stdout.readline().decode() if watcher.stdout else "")  # noqa: T201
        return 0
    for name in {"SIGTERM", "SIGINT", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), lambda *_: sys.exit())
    try:
        with Path(log).open("wb") as output:
            java = subprocess.Popen(  # noqa: S603
                command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, **AWAY
            )
    except OSError as error:
        print(error)  # noqa: T201
        return 1
    print(java.pid, flush=True)  # noqa: T201
    if mode == "watch":
        try:
            # Without its file nobody holds the lock.
            with suppress(OSError), Path(lock).open("r+b") as file:
                hold(file.fileno())
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
    # Skips the complaint about a child that is still running: that is what it is for.
    sys.stdout.flush()
    os._exit(status)
