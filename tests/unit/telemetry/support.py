"""Responses of a server, and the log records of the package."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quill_models import Quill
from tests.unit.wire import Response, Wire, response


@contextmanager
def captured_records() -> Iterator[list[logging.LogRecord]]:
    """All records of this package, of every level and thread."""
    found: list[logging.LogRecord] = []

    class Capturing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    handler, logger = Capturing(), logging.getLogger("quill_models")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def respond_with(quill: Quill, *replies: Response | dict[str, Any]) -> Wire:
    """Let the server send these responses, and then empty ones."""
    left = list(replies)

    def reply(_name: str, _body: dict[str, Any]) -> Response:
        each = left.pop(0) if left else {}
        return response(each) if isinstance(each, dict) else each

    return Wire(quill.table.client, reply)
