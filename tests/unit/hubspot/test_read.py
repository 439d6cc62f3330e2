"""`hubspot.read`."""

from __future__ import annotations

import gc
import io
import itertools
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import simplejson
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models import hubspot
from quill_models.errors import InvalidPayload, InvalidValue
from quill_models.models import WebhookEvent

from .events import ASSOCIATION, CHANGE, EVENTS, MERGE, MESSAGE, body, sample

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


def numbered(number: int) -> dict[str, Any]:
    return CHANGE | {"objectId": number}


def text_of(value: Any, indent: int | None = None) -> bytes:
    text: str = simplejson.dumps(value, use_decimal=True, indent=indent)
    return text.encode()


def read(text: bytes) -> list[WebhookEvent]:
    return list(hubspot.read(io.BytesIO(text), NOON))


def object_ids(text: bytes) -> list[str | None]:
    return [event.object_id for event in read(text)]


def read_until_error(text: bytes) -> tuple[list[WebhookEvent], InvalidPayload]:
    """Return the events before the error, and the error."""
    events: list[WebhookEvent] = []
    with pytest.raises(InvalidPayload) as caught:
        events.extend(hubspot.read(io.BytesIO(text), NOON))
    return events, caught.value


# Layouts.


@pytest.mark.parametrize(
    "name", ["property_changes.json", "mixed_objects.json", "test_button.json"]
)
def test_read_one_delivery_equals_parse(name: str) -> None:
    assert read(sample(name)) == hubspot.parse(sample(name), NOON)


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n  \r\n\n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n \t\n"])
def test_read_array_in_any_layout_equals_parse(
    indent: int | None, line_end: bytes, start: bytes, end: bytes
) -> None:
    text = text_of(EVENTS, indent).replace(b"\n", line_end)

    assert read(start + text + end) == hubspot.parse(body(*EVENTS), NOON)


def test_read_json_lines_yields_deliveries_and_events() -> None:
    text = b"\n".join(
        [
            text_of([numbered(1), numbered(2)]),
            text_of(numbered(3)),
            b"",
            b"[]",
            text_of([numbered(4)]) + b"\r",
            b"\xef\xbb\xbf" + text_of(numbered(5)),
        ]
    )

    assert object_ids(text) == ["1", "2", "3", "4", "5"]


def test_read_pretty_printed_texts_yields_all() -> None:
    text = text_of([numbered(1)], 2) + b"\n" + text_of(numbered(2), 4) + b"\n[\n]\n"

    assert object_ids(text + text_of([numbered(3)])) == ["1", "2", "3"]


@pytest.mark.parametrize("text", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"[]", b"[]\n[]\n"])
def test_read_no_events_yields_nothing(text: bytes) -> None:
    assert read(text) == []


def test_read_brackets_in_strings_do_not_count() -> None:
    odd = numbered(1) | {"propertyValue": '[{"\\', 'a"]': "}]\\\\"}

    assert [event.payload for event in read(text_of([odd, odd], 1) + b"\n" + text_of(odd))] == [
        odd,
        odd,
        odd,
    ]


VALUES = st.recursive(
    st.none() | st.integers() | st.text('[]{}"\\,:é\n\u2028', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\]}'), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(VALUES, max_size=3),
            st.booleans(),
            st.none() | st.integers(0, 3),
            st.booleans(),
        )
    )
)
def test_read_any_values_in_any_layout_are_equal(
    layout: list[tuple[list[Any], bool, int | None, bool]],
) -> None:
    texts, expected = [], []
    for values, alone, indent, ascii_only in layout:
        events = [CHANGE | {"extra": value} for value in values]
        groups = events if alone else [events]
        texts += [
            simplejson.dumps(group, use_decimal=True, indent=indent, ensure_ascii=ascii_only)
            for group in groups
        ]
        expected += events

    assert [event.payload for event in read("\n".join(texts).encode())] == expected


# Times.


def test_read_received_at_defaults_to_time_of_text() -> None:
    with freeze_time(NOON) as clock:
        events = hubspot.read(io.BytesIO(body(CHANGE, MERGE) + b"\n" + body(MESSAGE)))
        received = [next(events).received_at]
        clock.tick(timedelta(seconds=5))
        received += [event.received_at for event in events]

    # All events of a delivery have one time.
    assert received == [NOON, NOON, NOON + timedelta(seconds=5)]
    assert [event.received_at for event in hubspot.read([body(CHANGE)], NOON)] == [NOON]


def test_read_naive_received_at_raises_before_reading() -> None:
    with pytest.raises(InvalidValue, match="received_at has no time zone"):
        hubspot.read(io.BytesIO(b""), datetime(2027, 3, 1))  # noqa: DTZ001


# Laziness.


def test_read_file_is_read_lazily() -> None:
    lines_read = 0

    def endless() -> Iterator[bytes]:
        nonlocal lines_read
        for number in itertools.count():
            lines_read += 1
            yield text_of(numbered(number)) + b"\n"

    events = hubspot.read(endless(), NOON)
    assert lines_read == 0
    assert [event.object_id for event in itertools.islice(events, 3)] == ["0", "1", "2"]
    assert lines_read == 3


@pytest.mark.parametrize("indent", [None, 2])
def test_read_long_file_needs_constant_memory(indent: int | None) -> None:
    count = 1000
    lines = text_of(numbered(1), indent).splitlines(keepends=True)
    lines[-1] += b"\n"
    file = itertools.chain.from_iterable(itertools.repeat(lines, count))
    # The first event fills caches, which do not count.
    assert len(list(hubspot.read(lines, NOON))) == 1
    # simplejson's encoder leaves reference cycles. Freezing older objects makes collecting fast.
    gc.freeze()
    tracemalloc.start()
    try:
        for number, _ in enumerate(hubspot.read(file, NOON)):
            if number % 10 == 0:
                gc.collect()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.unfreeze()

    assert peak < count * sum(map(len, lines)) / 2


@pytest.mark.parametrize(
    ("broken", "most_lines"),
    [
        ([b'{"eventId": 1,\n'], 500),
        ([b'[{"eventId": 1, "x": [\n'], 500),
        ([b"[\n"], 500),
        # After 500 valid lines a comma is missing.
        ([b"[\n", *[text_of(numbered(2)) + b",\n"] * 500], 1500),
        # A string cannot continue on the next line.
        ([b'[{"eventId": "1\n'], 2),
    ],
)
def test_read_unclosed_text_stops_early(broken: list[bytes], most_lines: int) -> None:
    lines_read = 0

    def lines() -> Iterator[bytes]:
        nonlocal lines_read
        for line in itertools.chain(
            [text_of(numbered(1)) + b"\n"],
            broken,
            itertools.repeat(text_of(numbered(2)) + b"\n", 100_000),
        ):
            lines_read += 1
            yield line

    events = hubspot.read(lines(), NOON)
    assert next(events).object_id == "1"
    with pytest.raises(InvalidPayload, match=r"^line "):
        next(events)
    assert lines_read <= most_lines


# Errors and their positions.


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"nonsense", "line 3, column 1: not JSON: Expecting value"),
        (b'{"a" 1}', "line 3, column 6: not JSON: Expecting ':' delimiter"),
        (b"{} {}", "line 3, column 4: not JSON: Extra data"),
        (b"]", "line 3, column 1: not JSON: Expecting value"),
        (b'[{"eventId": "3', "line 3, column 14: not JSON: Unterminated string"),
        (b'"', "line 3, column 1: not JSON: Unterminated string"),
        (b"[NaN]", "line 3, column 2: NaN is not a JSON number"),
        (b"7", "line 3: the number 7; expected an array of events or one event"),
        (b'"events"', "line 3: the text 'events'; expected an array of events or one event"),
        (b"\xff", "line 3: not UTF-8: byte 0 is 0xff"),
        (b"[" * 100_000 + b"]" * 100_000, "line 3: nested too deeply to parse"),
        (b"[" + b"9" * 5000 + b"]", "line 3: a number is too large to parse"),
        (b'{"a": 1, "a": 2}', "line 3: the name 'a' occurs more than once in one object"),
        (b'[{"a": 1, "a": 2}]', "line 3, event 0: the name 'a' occurs more than once in one obj"),
        (b"{}", "line 3: eventId is missing"),
        (b"[{}]", "line 3, event 0: eventId is missing"),
        (text_of([[], CHANGE]), "line 3, event 0: an array; expected an event, which is an object"),
        (b'[\n{"eventId":\n1},\n{}]', "line 3, event 0: subscriptionType is missing"),
        (
            b'[\n{"eventId":\n oops}\n]',
            "line 5, column 2: not JSON: Expecting value (in the JSON text that starts at line 3)",
        ),
        (
            b'{\n"a": "b\n"}',
            "line 4, column 8: a control character, or the end of the line, inside",
        ),
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\n", b"\n" + body(MERGE) + b"\n"])
def test_read_invalid_text_raises_line_after_earlier_events(
    line: bytes, message: str, rest: bytes
) -> None:
    before = b"\n" + body(CHANGE, ASSOCIATION) + b"\n"
    # The column of an open string depends on whether another line follows.
    if message.endswith("Unterminated string") and rest:
        message = message.partition(", column")[0]

    events, error = read_until_error(before + line + rest)

    assert events == hubspot.parse(body(CHANGE, ASSOCIATION), NOON)
    assert str(error).startswith(message)


def test_read_invalid_event_yields_earlier_events() -> None:
    events, error = read_until_error(text_of([CHANGE, MERGE, {}, CHANGE]))

    assert events == hubspot.parse(body(CHANGE, MERGE), NOON)
    assert error.position == "line 1, event 2"


@settings(deadline=None)
@given(st.integers(1), st.sampled_from([None, 0, 2]), st.booleans())
def test_read_truncated_file_raises(offset: int, indent: int | None, lines: bool) -> None:
    texts = [text_of(event, indent) for event in EVENTS] if lines else [text_of(EVENTS, indent)]
    original = b"\n".join(texts)
    ends = set(itertools.accumulate(len(text) + 1 for text in texts))
    at = offset % len(original)
    # Between two texts, both are complete.
    if at in ends or at + 1 in ends or at == 0:
        at += 2

    events, error = read_until_error(original[:at])

    assert error.position is not None
    assert events == hubspot.parse(body(*EVENTS), NOON)[: len(events)]
    assert len(events) < len(EVENTS)


@settings(deadline=None)
@given(st.binary(), st.integers(0), st.integers(0, 3))
def test_read_damaged_file_returns_or_raises(damage: bytes, offset: int, removed: int) -> None:
    original = text_of([CHANGE, MERGE], 2) + b"\n" + text_of(MESSAGE) + b"\n" + body(ASSOCIATION)
    at = offset % len(original)
    raised = None
    try:
        events = read(original[:at] + damage + original[at + removed :])
    except InvalidPayload as error:
        events, raised = [], error
    assert raised is None or str(raised).startswith("line ")
    assert all(event.source == "hubspot" for event in events)
