"""Requests and responses of writes that a state machine loses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import strategies as st

from quill_models import Quill
from quill_models.errors import AnswerLost

__all__ = ["DELIVERED", "LOST_REQUEST", "LOST_RESPONSE", "fates", "losing"]

DELIVERED, LOST_RESPONSE, LOST_REQUEST = "delivered", "lost response", "lost request"
WRITES = {"put_item", "transact_write_items"}

fates = st.sampled_from([DELIVERED, DELIVERED, DELIVERED, LOST_RESPONSE, LOST_REQUEST])


@contextmanager
def losing(quill: Quill, fate: str) -> Iterator[None]:
    """Lose the request or the response of each write in the block, and suppress the error."""
    client = quill._table.client
    request = client.request

    def lost(operation: str, **parameters: Any) -> dict[str, Any]:
        if operation not in WRITES:
            return request(operation, **parameters)
        if fate == LOST_RESPONSE:
            request(operation, **parameters)
        raise AnswerLost(fate)

    if fate == DELIVERED:
        yield
        return
    client.request = lost  # type: ignore[method-assign]
    try:
        with suppress(AnswerLost):
            yield
    finally:
        del client.request
