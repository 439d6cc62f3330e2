"""A probe of a port of this machine."""

from __future__ import annotations

import time
from enum import IntEnum, auto
from http.client import HTTPConnection, HTTPException
from typing import Final

__all__ = ["PortOwner", "probe"]

_LOOPBACKS: Final = ("127.0.0.1", "::1")
_MAX_BYTES: Final = 10_000
_ATTEMPTS: Final = 4
_BACKOFF_SECONDS: Final = 0.1


class PortOwner(IntEnum):
    """The program that listens on a port, in ascending precedence."""

    NONE = auto()
    OTHER_PROGRAM = auto()
    DYNAMODB_LOCAL = auto()


def probe(port: int, *, timeout: float = 2.0) -> PortOwner:
    """Probe both loopback addresses without a proxy. Each step may take ``timeout`` seconds."""
    return max(_probe_host(host, port, timeout) for host in _LOOPBACKS)


def _probe_host(host: str, port: int, timeout: float) -> PortOwner:
    for _ in range(_ATTEMPTS):
        connection = HTTPConnection(host, port, timeout=timeout)
        try:
            connection.connect()
        except TimeoutError:
            return PortOwner.OTHER_PROGRAM
        except OSError:
            return PortOwner.NONE
        try:
            connection.request("GET", "/")
            with connection.getresponse() as response:
                # DynamoDB Local rejects an unsigned request with AWS's error.
                rejected = b"MissingAuthenticationToken" in response.read(_MAX_BYTES)
                if rejected and response.status == 400 and response.getheader("x-amzn-RequestId"):
                    return PortOwner.DYNAMODB_LOCAL
                break
        except ConnectionError:
            # A server that was just killed may accept a connection and then reset it.
            time.sleep(_BACKOFF_SECONDS)
        except (OSError, HTTPException):
            break
        finally:
            connection.close()
    return PortOwner.OTHER_PROGRAM
