"""Fixtures of servers: the distribution and Java."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quill_models.local import find_or_fetch
from quill_models.settings import Settings


@pytest.fixture(scope="module", autouse=True)
def one_java_compiler() -> Iterator[None]:
    """Halve the processor time of a start, because each server runs only for seconds."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        yield


@pytest.fixture(scope="module")
def java_home() -> Path | None:
    return Settings.load(env_file=None).java_home


@pytest.fixture(scope="module")
def local_home() -> Path:
    """The distribution, downloaded once per user as in the package."""
    return find_or_fetch(Settings.load(env_file=None).local_home)
