"""Fixtures of all tests."""

from collections.abc import Iterator

import pytest

from tests.interrupts import interruptible_children


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak",
        action="store_true",
        help="run the tests marked 'soak' at their full size, which takes minutes",
    )


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Whether tests marked 'soak' run at their full size."""
    return bool(pytestconfig.getoption("soak"))


@pytest.fixture(scope="session", autouse=True)
def _interruptible_children() -> Iterator[None]:
    """Let tests interrupt their child processes, also in ``nohup pytest &``."""
    with interruptible_children():
        yield
