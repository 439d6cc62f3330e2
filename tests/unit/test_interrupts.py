"""The programs that tests start can be interrupted, even if the tests run in the background."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.interrupts import interruptible_children

# Exits with 0 if the interrupt is ignored.
PROGRAM = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"


@pytest.fixture
def in_background() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def status() -> int:
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode


@pytest.mark.usefixtures("in_background")
def test_interruptible_children_sigint_ignored_reaches_only_children() -> None:
    assert status() == 0
    with interruptible_children():
        assert status() == -signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_interruptible_children_in_these_tests_are_interrupted() -> None:
    assert status() == -signal.SIGINT
