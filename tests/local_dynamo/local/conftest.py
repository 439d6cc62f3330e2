"""What a server of one's own is made from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quill_models.local import find_or_fetch
from quill_models.settings import Settings


@pytest.fixture(scope="module", autouse=True)
def java_that_starts_sooner() -> Iterator[None]:
    """Each server here lives for seconds: most of what Java compiled for it would go unused.

    Without its second compiler a start takes half the processor time.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        yield


@pytest.fixture(scope="module")
def java_home() -> Path | None:
    return Settings.load(env_file=None).java_home


@pytest.fixture(scope="module")
def local_home() -> Path:
    """Fetched once per user, as the package itself does it."""
    return find_or_fetch(Settings.load(env_file=None).local_home)
