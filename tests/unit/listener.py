"""A telemetry that records its calls."""

from __future__ import annotations

from collections import Counter
from typing import Any

from quill_models.telemetry.operations import Operation, Request
from quill_models.telemetry.records import RequestTry, Retry

__all__ = ["Listener"]


class Listener:
    """Records operations, requests and retries with their errors."""

    def __init__(self) -> None:
        self.open: list[Operation | Request] = []
        self.ended: list[tuple[Operation | Request, BaseException | None]] = []
        self.requests: list[RequestTry] = []
        self.retries: list[Retry] = []
        self.inside: Counter[str] = Counter()

    def begin(self, doing: Operation | Request) -> Any:
        self.open.append(doing)
        return object()

    def enter(self, doing: Operation | Request) -> Any:
        self.inside[doing.name] += 1
        return doing

    def leave(self, entered: Any) -> None:
        self.inside[entered.name] -= 1

    def tried(self, request: RequestTry) -> None:
        self.requests.append(request)

    def retry(self, retry: Retry, of: Operation | Request) -> None:
        assert of in self.open
        self.retries.append(retry)

    def end(self, doing: Operation | Request, error: BaseException | None) -> None:
        self.open.remove(doing)
        self.ended.append((doing, error))

    @property
    def operations(self) -> list[Operation]:
        """Return the ended operations."""
        return [each for each, _ in self.ended if isinstance(each, Operation)]

    @property
    def names(self) -> list[str]:
        """Return the names of the ended operations."""
        return [each.name for each in self.operations]
