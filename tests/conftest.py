"""What all tests share."""

from collections.abc import Iterator

import pytest

from tests.interrupts import interruptible_children


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak",
        action="store_true",
        help="the tests that are marked 'soak' at their full size: many minutes instead of seconds",
    )


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Whether tests that can run for long shall do so; they mark themselves 'soak'."""
    return bool(pytestconfig.getoption("soak"))


@pytest.fixture(scope="session", autouse=True)
def _interruptible_children() -> Iterator[None]:
    """Let tests send Ctrl-C to what they start, also if they run by ``nohup pytest &``."""
    with interruptible_children():
        yield
