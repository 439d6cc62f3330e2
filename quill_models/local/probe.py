"""Who answers at a port of this machine."""

from __future__ import annotations

import time
from enum import IntEnum, auto
from http.client import HTTPConnection, HTTPException
from typing import Final

__all__ = ["Answer", "probe"]

_LOOPBACKS: Final = ("127.0.0.1", "::1")
_MOST_BYTES: Final = 10_000
_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.1


class Answer(IntEnum):
    """What was found at a port; of two addresses the greater one counts."""

    NOBODY = auto()
    ANOTHER_PROGRAM = auto()
    DYNAMODB_LOCAL = auto()


def probe(port: int, *, timeout: float = 2.0) -> Answer:
    """Ask both loopback addresses, past any proxy; each step may take ``timeout`` seconds."""
    return max(_ask(host, port, timeout) for host in _LOOPBACKS)


def _ask(host: str, port: int, timeout: float) -> Answer:
    for _ in range(_TRIES):
        connection = HTTPConnection(host, port, timeout=timeout)
        try:
            connection.connect()
        except TimeoutError:
            return Answer.ANOTHER_PROGRAM
        except OSError:
            return Answer.NOBODY
        try:
            connection.request("GET", "/")
            with connection.getresponse() as response:
                # DynamoDB Local refuses an unsigned request, in the words of AWS.
                refused = b"MissingAuthenticationToken" in response.read(_MOST_BYTES)
                if refused and response.status == 400 and response.getheader("x-amzn-RequestId"):
                    return Answer.DYNAMODB_LOCAL
                break
        except ConnectionError:
            # A server that was just killed may still take a connection, and then break it off.
            time.sleep(_PAUSE_SECONDS)
        except (OSError, HTTPException):
            break
        finally:
            connection.close()
    return Answer.ANOTHER_PROGRAM
