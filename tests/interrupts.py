"""Ctrl-C for the programs that tests start, even if the tests run in the background."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interruptible_children"]


@contextmanager
def interruptible_children() -> Iterator[None]:
    """Give SIGINT its default effect in child processes.

    A shell without job control starts ``pytest &`` with SIGINT ignored, and a child inherits what
    its parent ignores. A signal that the parent handles goes back to its default in the child. So
    a handler that does nothing replaces the ignored signal: Ctrl-C still does not reach the tests.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
