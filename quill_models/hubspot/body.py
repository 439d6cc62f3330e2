"""The parser of HubSpot deliveries."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import simplejson

from quill_models.hubspot.event import describe, webhook_event
from quill_models.models import WebhookEvent
from quill_models.values.clock import aware_utc, system_clock
from quill_models.values.errors import InvalidPayload, InvalidValue

__all__ = ["parse", "read"]

_BOM = "\ufeff"
_BLANKS = " \t\r\n"
_CONSTANTS = ("NaN", "Infinity", "-Infinity")

# Strings of one line, whose brackets do not count.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
# Size of an unclosed JSON text before its first syntax check.
_FIRST_CHECK = 64 * 1024


def parse(body: bytes | str, received_at: datetime | None = None) -> list[WebhookEvent]:
    """Parse the events of one webhook request.

    Numbers are exact, and unknown fields are kept in the payload. The array can be empty or longer
    than HubSpot's 100 events. NaN, infinities and repeated names in an object are rejected.

    Args:
        body: Raw body of the request, a JSON array. Bytes are UTF-8. It may start with a byte
            order mark.
        received_at: Aware time at which the request was received. Default: now.

    Returns:
        The events in the order of the body.

    Raises:
        InvalidPayload: The body is not a JSON array, an event is not an object, or a field is
            missing or invalid. Its ``position`` is ``line 1, column 12`` or ``event 3``, from 0.
        InvalidValue: ``received_at`` has no time zone, or ``body`` is neither bytes nor text.
    """
    if not isinstance(body, bytes | str):
        raise InvalidValue(
            f"body must be the raw body of the request, bytes or text, got {type(body).__name__}"
        )
    received_at = _received_at(received_at)
    return list(_events(_load(body, _BODY), received_at, _BODY, "a JSON array of events"))


def read(file: Iterable[bytes], received_at: datetime | None = None) -> Iterator[WebhookEvent]:
    """Read the events of a file of deliveries lazily.

    The file contains JSON texts, each on lines of its own: arrays (deliveries) or objects (events).
    So it can be JSON Lines or saved bodies, also pretty-printed. Blank lines are ignored.

    One JSON text is in memory at a time. A text that is never closed, as in a truncated file, is
    rejected soon after its first syntax error, without reading the rest of the file.

    Args:
        file: A file in binary mode, or other lines of bytes. It is not closed.
        received_at: As in `parse`. Default: the time at which each text is read.

    Yields:
        The events in the order of the file.

    Raises:
        InvalidPayload: As in `parse`, after the events before the error were yielded. Its
            ``position`` is ``line 7, column 12``, ``line 7, event 2``, or ``line 7`` for a single
            event. The line of a column is exact; the other lines are the first of their text.
        InvalidValue: ``received_at`` has no time zone. Raised by the call itself.
    """
    if received_at is not None:
        received_at = aware_utc(received_at, "received_at")
    return _read(file, received_at)


def _read(file: Iterable[bytes], received_at: datetime | None) -> Iterator[WebhookEvent]:
    for start, text in _texts(file):
        value = _load(text, start)
        read_at = _received_at(received_at)
        if isinstance(value, dict):
            yield _event(value, read_at, start.position)
        else:
            yield from _events(value, read_at, start, "an array of events or one event")


@dataclass(frozen=True)
class _TextStart:
    """The first line of a JSON text in a file, or ``None`` for the body of a request."""

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
    """Return a JSON text up to the line that closes its last bracket or makes it invalid."""
    lines: list[bytes] = []
    depth = size = 0
    next_check = _FIRST_CHECK
    for line in chain([first], (line for _, line in more)):
        lines.append(line)
        size += len(line)
        bare = _STRING.sub(b"", line)
        depth += bare.count(b"[") + bare.count(b"{") - bare.count(b"]") - bare.count(b"}")
        # A JSON string cannot continue on the next line, so an open one makes the text invalid.
        if depth <= 0 or b'"' in bare:
            break
        if size >= next_check:
            if not _is_incomplete(b"".join(lines)):
                break
            next_check = 2 * size
    return b"".join(lines)


def _is_incomplete(text: bytes) -> bool:
    """Return whether more lines can complete a JSON text."""
    decoded = text.decode("utf-8-sig", "replace")
    try:
        simplejson.loads(decoded, use_decimal=True, allow_nan=False)
    except (ValueError, ArithmeticError, RecursionError) as error:
        return isinstance(error, simplejson.JSONDecodeError) and _ends_early(decoded, error)
    return False


def _ends_early(text: str, error: simplejson.JSONDecodeError) -> bool:
    return bool(error.pos >= len(text.rstrip(_BLANKS)))


def _load(text: bytes | str, start: _TextStart) -> Any:
    """Parse a JSON text."""
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
        raise _syntax_error(decoded, error, start) from None
    except RecursionError:
        raise InvalidPayload("nested too deeply to parse", position=start.position) from None
    except (ValueError, ArithmeticError):
        # Python limits the digits of an integer, and `decimal` limits an exponent.
        raise InvalidPayload("a number is too large to parse", position=start.position) from None
    if repeated:
        parent, name = repeated[0]
        reason = f"the name {name[:60]!r} occurs more than once in one object"
        raise InvalidPayload(reason, position=_position_of(parent, value, start))
    return value


def _decoded(text: bytes | str, start: _TextStart) -> str:
    try:
        if isinstance(text, str):
            text.encode()
            return text.removeprefix(_BOM)
        return text.decode("utf-8-sig")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        invalid = error.object[error.start]
        if isinstance(invalid, int):
            reason = f"not UTF-8: byte {error.start} is 0x{invalid:02x}"
        else:
            reason = f"not valid Unicode text: character {error.start} is an unpaired surrogate"
        raise InvalidPayload(reason, position=start.position) from None


def _syntax_error(
    text: str, error: simplejson.JSONDecodeError, start: _TextStart
) -> InvalidPayload:
    if error.msg.startswith("Invalid control character"):
        reason = "a control character, or the end of the line, inside a string"
    elif constant := next((name for name in _CONSTANTS if text.startswith(name, error.pos)), None):
        reason = f"{constant} is not a JSON number"
    elif _ends_early(text, error):
        reason = f"the JSON text ends too early: {error.msg}"
    else:
        reason = f"not JSON: {error.msg.removesuffix(' starting at')}"
    if start.line is not None and error.lineno > 1:
        reason += f" (in the JSON text that starts at line {start.line})"
    return InvalidPayload(reason, position=start.character(error.lineno, error.colno))


def _position_of(target: dict[str, Any], value: Any, start: _TextStart) -> str | None:
    """Return the position of the event that contains an object."""
    if isinstance(value, list):
        for number, event in enumerate(value):
            parts = [event]
            # The list grows during the loop.
            for part in parts:
                if part is target:
                    return start.event(number)
                if isinstance(part, dict | list):
                    parts.extend(part.values() if isinstance(part, dict) else part)
    return start.position


def _events(
    events: Any, received_at: datetime, start: _TextStart, expected: str
) -> Iterator[WebhookEvent]:
    if not isinstance(events, list):
        raise InvalidPayload(f"{describe(events)}; expected {expected}", position=start.position)
    for number, event in enumerate(events):
        yield _event(event, received_at, start.event(number))


def _event(event: Any, received_at: datetime, position: str | None) -> WebhookEvent:
    try:
        return webhook_event(event, received_at)
    except InvalidPayload as error:
        raise InvalidPayload(error.reason, position=position) from error.__cause__


def _received_at(given: datetime | None) -> datetime:
    return system_clock() if given is None else aware_utc(given, "received_at")
