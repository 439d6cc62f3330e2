"""Random but repeatable faults between a client and its server."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from threading import Lock
from typing import NamedTuple
from zlib import crc32

__all__ = ["Answer", "Fault", "Faults"]


class Answer(NamedTuple):
    """One of HTTP."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Fault(StrEnum):
    """One thing that goes wrong with one request."""

    LOST = "the server acted, its answer was lost"
    THROTTLED = "throttled before the server acted"
    FAILED_BEFORE = "an internal error before the server acted"
    FAILED_AFTER = "an internal error after the server acted"
    UNAVAILABLE = "a web page instead of an answer, before the server acted"
    CUT_BEFORE = "cut before the server acted"
    CUT_MIDWAY = "the server acted, its answer was cut in the middle"

    @property
    def after(self) -> bool:
        """Whether the server acts first."""
        return self in {Fault.LOST, Fault.FAILED_AFTER, Fault.CUT_MIDWAY}


_DISTURBANCES = [fault for fault in Fault if fault is not Fault.LOST]


class Faults:
    """Which requests go wrong, and how.

    The seed decides, request by request: where several threads send, which of them gets which
    fault is up to chance all the same.

    Attributes:
        seen: how many requests came.
        done: how many of them went wrong, by fault.
    """

    def __init__(self, seed: int, *, lost: float = 0, disturbed: float = 0) -> None:
        """Make what goes wrong.

        Args:
            seed: of the chances.
            lost: the share of requests whose responses are lost after the server has acted.
            disturbed: the part of all requests with which anything else goes wrong.
        """
        self.seen = 0
        self.done: Counter[Fault] = Counter()
        self._lost = lost
        self._disturbed = disturbed
        self._chance = random.Random(seed)  # noqa: S311
        self._lock = Lock()

    def next(self) -> Fault | None:
        """Return the fault of a request."""
        with self._lock:
            self.seen += 1
            drawn = self._chance.random()
            if drawn < self._lost:
                fault = Fault.LOST
            elif drawn < self._lost + self._disturbed:
                fault = self._chance.choice(_DISTURBANCES)
            else:
                return None
            self.done[fault] += 1
            return fault

    def answer(self, fault: Fault) -> Answer | None:
        """Return the response that replaces that of the server, if any."""
        if fault is Fault.UNAVAILABLE:
            page = b"<html><body><h1>503 Service Unavailable</h1></body></html>"
            return Answer(503, {"Content-Type": "text/html"}, page)
        if fault in {Fault.FAILED_BEFORE, Fault.FAILED_AFTER}:
            return _error(500, f"{_DYNAMODB}#InternalServerError", "Internal server error")
        if fault is Fault.THROTTLED:
            with self._lock:
                return self._chance.choice(_THROTTLED)
        return None


_DYNAMODB = "com.amazonaws.dynamodb.v20120810"


def _error(status: int, kind: str, message: str) -> Answer:
    """As DynamoDB sends one."""
    content = json.dumps({"__type": kind, "message": message}).encode()
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "x-amzn-RequestId": "4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG",
        "x-amz-crc32": str(crc32(content)),
    }
    return Answer(status, headers, content)


_THROTTLED = [
    _error(
        400,
        f"{_DYNAMODB}#ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded. Consider "
        "increasing your provisioning level with the UpdateTable API.",
    ),
    _error(
        400,
        "com.amazon.coral.availability#ThrottlingException",
        "Rate of requests exceeds the allowed throughput.",
    ),
]
