"""Who answers at a port of this machine."""

from __future__ import annotations

import json
import time
from enum import Enum, auto
from http.client import HTTPConnection, HTTPException
from typing import Final

__all__ = ["LOOPBACKS", "Answer", "probe"]

LOOPBACKS: Final = ("127.0.0.1", "::1")

_MOST_BYTES: Final = 10_000
_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.1


class Answer(Enum):
    """What was found at a port."""

    NOBODY = auto()
    DYNAMODB_LOCAL = auto()
    ANOTHER_PROGRAM = auto()


def probe(port: int, *, timeout: float = 2.0) -> Answer:
    """Ask both loopback addresses, without going through any proxy.

    Args:
        port: the TCP port.
        timeout: seconds to wait for each step of an answer; a program that lets them pass is
            taken for another one.
    """
    answers = {_ask(host, port, timeout) for host in LOOPBACKS}
    for answer in (Answer.DYNAMODB_LOCAL, Answer.ANOTHER_PROGRAM):
        if answer in answers:
            return answer
    return Answer.NOBODY


def _ask(host: str, port: int, timeout: float) -> Answer:
    """What answers at one address.

    A server that was just killed may still take a connection, and then break it off: so whoever
    breaks one off is asked again.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            return _ask_once(host, port, timeout)
        except ConnectionError:
            if tries_left:
                time.sleep(_PAUSE_SECONDS)
    return Answer.ANOTHER_PROGRAM


def _ask_once(host: str, port: int, timeout: float) -> Answer:
    connection = HTTPConnection(host, port, timeout=timeout)
    try:
        try:
            connection.connect()
        except TimeoutError:
            return Answer.ANOTHER_PROGRAM
        except OSError:
            return Answer.NOBODY
        connection.request("GET", "/")
        with connection.getresponse() as response:
            body = response.read(_MOST_BYTES)
            request_id = response.getheader("x-amzn-RequestId")
            status = response.status
    except ConnectionError:
        raise
    except (OSError, HTTPException):
        return Answer.ANOTHER_PROGRAM
    finally:
        connection.close()
    # DynamoDB Local refuses an unsigned request, in the words of AWS.
    ours = status == 400 and request_id is not None and "MissingAuthenticationToken" in _type(body)
    return Answer.DYNAMODB_LOCAL if ours else Answer.ANOTHER_PROGRAM


def _type(body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    return str(document.get("__type", "")) if isinstance(document, dict) else ""
