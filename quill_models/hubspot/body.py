"""Deliveries: the one place where HubSpot's bytes enter."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import simplejson

from quill_models.hubspot.event import shown, webhook_event
from quill_models.models import WebhookEvent
from quill_models.values.clock import aware_utc, system_clock
from quill_models.values.errors import InvalidPayload, InvalidValue

__all__ = ["parse", "read"]

_BOM = "\ufeff"
_BLANKS = " \t\r\n"
_CONSTANTS = ("NaN", "Infinity", "-Infinity")

# Strings of one line, so that brackets inside them are not counted.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
# How much of an unclosed JSON text is gathered before it is first looked at.
_FIRST_LOOK = 64 * 1024


def parse(body: bytes | str, received_at: datetime | None = None) -> list[WebhookEvent]:
    """The events of one webhook request.

    Numbers are read exactly. An empty array is a delivery without events; more than HubSpot's
    100 events are accepted. Fields that are not known are kept in the payload. Refused are an
    object that has one name twice (which of the two would count?), NaN and the infinities.

    Args:
        body: the raw body of the request: a JSON array, in UTF-8 where it is bytes, with or
            without a byte order mark.
        received_at: when the request came in, aware; now, where it is not given.

    Returns:
        The events in the order of the body.

    Raises:
        InvalidPayload: the body is no JSON array, or an event is no object, or a field is missing
            or absurd. Its ``position`` is ``line 1, column 12`` or ``event 3``, from 0.
        InvalidValue: ``received_at`` has no time zone, or ``body`` is neither bytes nor text.
    """
    if not isinstance(body, bytes | str):
        raise InvalidValue(
            f"body must be the raw body of the request, bytes or text, not {type(body).__name__}"
        )
    received_at = _received_at(received_at)
    return list(_events(_load(body, _BODY), received_at, _BODY, "a JSON array of events"))


def read(file: Iterable[bytes], received_at: datetime | None = None) -> Iterator[WebhookEvent]:
    """The events of a file of deliveries, one after the other.

    A file is any number of JSON texts, each an array (a delivery) or an object (an event), and
    each on lines of its own. So JSON Lines will do, a saved body, pretty-printed or not, and
    saved bodies one after the other. Blank lines and Windows line ends are allowed; a file
    without any text has no events.

    One JSON text is in memory at a time: a line of a JSON Lines file, all of an array that spans
    the file. A text that never closes, as in a file cut off in the middle, is given up soon after
    the place where it stops making sense.

    Args:
        file: a file opened in binary mode, or other lines of bytes. It is read as far as events
            are asked for, and not closed.
        received_at: as in `parse`; where it is not given, the time at which each text was read.

    Raises:
        InvalidPayload: as `parse`, when the iterator comes to the place; events before it have
            been given. ``position`` is ``line 7, column 12``, ``line 7, event 2``, or ``line 7``
            for an event on its own; a text of several lines counts from its first.
        InvalidValue: ``received_at`` has no time zone; raised by the call itself.
    """
    if received_at is not None:
        received_at = aware_utc(received_at, "received_at")
    return _read(file, received_at)


def _read(file: Iterable[bytes], received_at: datetime | None) -> Iterator[WebhookEvent]:
    for start, text in _texts(file):
        value = _load(text, start)
        came = _received_at(received_at)
        if isinstance(value, dict):
            yield _event(value, came, start.position)
        else:
            yield from _events(value, came, start, "an array of events or one event")


@dataclass(frozen=True)
class _TextStart:
    """The line of a file in which a JSON text begins; ``None`` for the body of a request."""

    line: int | None

    @property
    def position(self) -> str | None:
        return None if self.line is None else f"line {self.line}"

    def event(self, number: int) -> str:
        return f"event {number}" if self.line is None else f"line {self.line}, event {number}"

    def character(self, line: int, column: int) -> str:
        return f"line {line + (self.line or 1) - 1}, column {column}"


_BODY = _TextStart(None)


def _texts(file: Iterable[bytes]) -> Iterator[tuple[_TextStart, bytes]]:
    lines = enumerate(file, 1)
    for number, line in lines:
        if line.strip(_BLANKS.encode()) not in (b"", codecs.BOM_UTF8):
            yield _TextStart(number), _text(line, lines)


def _text(first: bytes, more: Iterable[tuple[int, bytes]]) -> bytes:
    """The JSON text that begins with a line.

    It ends with the line that closes its last bracket, or in which it is beyond hope.
    """
    held: list[bytes] = []
    depth = size = 0
    look_at = _FIRST_LOOK
    for line in chain([first], (line for _, line in more)):
        held.append(line)
        size += len(line)
        bare = _STRING.sub(b"", line)
        depth += bare.count(b"[") + bare.count(b"{") - bare.count(b"]") - bare.count(b"}")
        # No string goes on in the next line: one that is left open never closes.
        if depth <= 0 or b'"' in bare:
            break
        if size >= look_at:
            if not _may_go_on(b"".join(held)):
                break
            look_at = 2 * size
    return b"".join(held)


def _may_go_on(text: bytes) -> bool:
    """Whether a JSON text is well as far as it goes, and wants more."""
    decoded = text.decode("utf-8-sig", "replace")
    try:
        simplejson.loads(decoded, use_decimal=True, allow_nan=False)
    except (ValueError, ArithmeticError, RecursionError) as error:
        return isinstance(error, simplejson.JSONDecodeError) and _ends_early(decoded, error)
    return False


def _ends_early(text: str, error: simplejson.JSONDecodeError) -> bool:
    return bool(error.pos >= len(text.rstrip(_BLANKS)))


def _load(text: bytes | str, start: _TextStart) -> Any:
    """The JSON value of a text."""
    decoded = _decoded(text, start)
    if not decoded.strip(_BLANKS):
        raise InvalidPayload("empty; expected a JSON array of events", position=start.position)
    repeated: list[tuple[dict[str, Any], str]] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            names = [name for name, _ in pairs]
            repeated.append((result, next(name for name in names if names.count(name) > 1)))
        return result

    try:
        value = simplejson.loads(
            decoded, use_decimal=True, allow_nan=False, object_pairs_hook=members
        )
    except simplejson.JSONDecodeError as error:
        raise _no_json(decoded, error, start) from None
    except RecursionError:
        raise InvalidPayload("nested too deeply to be read", position=start.position) from None
    except (ValueError, ArithmeticError):
        # Python's limit on the digits of an integer, and decimal's on an exponent.
        raise InvalidPayload("a number is too large to be read", position=start.position) from None
    if repeated:
        holder, name = repeated[0]
        raise InvalidPayload(
            f"the name {name[:60]!r} occurs more than once in one object",
            position=_position_of(holder, value, start),
        )
    return value


def _decoded(text: bytes | str, start: _TextStart) -> str:
    try:
        if isinstance(text, str):
            text.encode()
            return text.removeprefix(_BOM)
        return text.decode("utf-8-sig")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        wrong = error.object[error.start]
        if isinstance(wrong, int):
            reason = f"not UTF-8: byte {error.start} is 0x{wrong:02x}"
        else:
            reason = f"not valid Unicode text: character {error.start} is an unpaired surrogate"
        raise InvalidPayload(reason, position=start.position) from None


def _no_json(text: str, error: simplejson.JSONDecodeError, start: _TextStart) -> InvalidPayload:
    if error.msg.startswith("Invalid control character"):
        reason = "a control character, or the end of the line, inside a string"
    elif constant := next((name for name in _CONSTANTS if text.startswith(name, error.pos)), None):
        reason = f"{constant} is no JSON number"
    elif _ends_early(text, error):
        reason = f"the JSON text ends too early: {error.msg}"
    else:
        reason = f"not JSON: {error.msg.removesuffix(' starting at')}"
    if start.line is not None and error.lineno > 1:
        reason += f" (in the JSON text that begins in line {start.line})"
    return InvalidPayload(reason, position=start.character(error.lineno, error.colno))


def _position_of(holder: dict[str, Any], value: Any, start: _TextStart) -> str | None:
    """Where the object is, as the index of the event it is in."""
    if isinstance(value, list):
        for number, event in enumerate(value):
            parts = [event]
            # It grows as it is read.
            for part in parts:
                if part is holder:
                    return start.event(number)
                if isinstance(part, dict | list):
                    parts.extend(part.values() if isinstance(part, dict) else part)
    return start.position


def _events(
    events: Any, received_at: datetime, start: _TextStart, expected: str
) -> Iterator[WebhookEvent]:
    if not isinstance(events, list):
        raise InvalidPayload(f"{shown(events)}; expected {expected}", position=start.position)
    for number, event in enumerate(events):
        yield _event(event, received_at, start.event(number))


def _event(event: Any, received_at: datetime, position: str | None) -> WebhookEvent:
    try:
        return webhook_event(event, received_at)
    except InvalidPayload as error:
        raise InvalidPayload(error.reason, position=position) from error.__cause__


def _received_at(given: datetime | None) -> datetime:
    return system_clock() if given is None else aware_utc(given, "received_at")
