"""What all tests share."""

import pytest


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
