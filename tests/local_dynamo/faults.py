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

__all__ = ["Fault", "Faults", "Response"]


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Fault(StrEnum):
    """A fault of one request."""

    LOST = "the server acted, its response was lost"
    THROTTLED = "throttled before the server acted"
    FAILED_BEFORE = "an internal error before the server acted"
    FAILED_AFTER = "an internal error after the server acted"
    UNAVAILABLE = "a web page instead of a response, before the server acted"
    CUT_BEFORE = "cut before the server acted"
    CUT_MIDWAY = "the server acted, its response was cut in the middle"

    @property
    def after(self) -> bool:
        """Whether the server acts before the fault."""
        return self in {Fault.LOST, Fault.FAILED_AFTER, Fault.CUT_MIDWAY}


_DISTURBANCES = [fault for fault in Fault if fault is not Fault.LOST]


class Faults:
    """Chooses the faults of requests.

    The seed sets the fault of each request by its number. With several threads, chance decides
    which request has which number.

    Attributes:
        seen: Number of requests.
        done: Number of requests by fault.
    """

    def __init__(self, seed: int, *, lost: float = 0, disturbed: float = 0) -> None:
        """Set the probabilities.

        Args:
            seed: Seed of the random numbers.
            lost: Share of requests whose responses are lost after the server has acted.
            disturbed: Share of requests with another fault.
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
            number = self._chance.random()
            if number < self._lost:
                fault = Fault.LOST
            elif number < self._lost + self._disturbed:
                fault = self._chance.choice(_DISTURBANCES)
            else:
                return None
            self.done[fault] += 1
            return fault

    def response(self, fault: Fault) -> Response | None:
        """Return the response that replaces that of the server, if any."""
        if fault is Fault.UNAVAILABLE:
            page = b"<html><body><h1>503 Service Unavailable</h1></body></html>"
            return Response(503, {"Content-Type": "text/html"}, page)
        if fault in {Fault.FAILED_BEFORE, Fault.FAILED_AFTER}:
            return _error(500, f"{_DYNAMODB}#InternalServerError", "Internal server error")
        if fault is Fault.THROTTLED:
            with self._lock:
                return self._chance.choice(_THROTTLED)
        return None


_DYNAMODB = "com.amazonaws.dynamodb.v20120810"


def _error(status: int, kind: str, message: str) -> Response:
    """Return an error response in the form of DynamoDB."""
    content = json.dumps({"__type": kind, "message": message}).encode()
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "x-amzn-RequestId": "4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG",
        "x-amz-crc32": str(crc32(content)),
    }
    return Response(status, headers, content)


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
