from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.unit.telemetry.support import captured_records


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    with captured_records() as found:
        yield found
