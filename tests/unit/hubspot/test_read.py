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


def read_until_refused(text: bytes) -> tuple[list[WebhookEvent], InvalidPayload]:
    """The events before the refusal, and the refusal."""
    events: list[WebhookEvent] = []
    with pytest.raises(InvalidPayload) as caught:
        events.extend(hubspot.read(io.BytesIO(text), NOON))
    return events, caught.value


# What a file may look like.


@pytest.mark.parametrize(
    "name", ["property_changes.json", "mixed_objects.json", "test_button.json"]
)
def test_a_file_with_one_delivery_reads_as_its_body(name: str) -> None:
    assert read(sample(name)) == hubspot.parse(sample(name), NOON)


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n  \r\n\n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n \t\n"])
def test_arrays_on_any_number_of_lines(
    indent: int | None, line_end: bytes, start: bytes, end: bytes
) -> None:
    text = text_of(EVENTS, indent).replace(b"\n", line_end)

    assert read(start + text + end) == hubspot.parse(body(*EVENTS), NOON)


def test_json_lines_of_deliveries_and_events() -> None:
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


def test_pretty_printed_texts_one_after_the_other() -> None:
    text = text_of([numbered(1)], 2) + b"\n" + text_of(numbered(2), 4) + b"\n[\n]\n"

    assert object_ids(text + text_of([numbered(3)])) == ["1", "2", "3"]


@pytest.mark.parametrize("text", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"[]", b"[]\n[]\n"])
def test_a_file_may_have_no_events(text: bytes) -> None:
    assert read(text) == []


def test_brackets_and_quotes_inside_strings_count_for_nothing() -> None:
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
def test_any_layout_reads_the_same(
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


def test_received_when_the_text_was_read_unless_said() -> None:
    with freeze_time(NOON) as clock:
        events = hubspot.read(io.BytesIO(body(CHANGE, MERGE) + b"\n" + body(MESSAGE)))
        received = [next(events).received_at]
        clock.tick(timedelta(seconds=5))
        received += [event.received_at for event in events]

    # The clock is asked once for each delivery.
    assert received == [NOON, NOON, NOON + timedelta(seconds=5)]
    assert [event.received_at for event in hubspot.read([body(CHANGE)], NOON)] == [NOON]


def test_a_naive_time_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InvalidValue, match="received_at has no time zone"):
        hubspot.read(io.BytesIO(b""), datetime(2027, 3, 1))  # noqa: DTZ001


# Laziness.


def test_lines_are_read_as_events_are_asked_for() -> None:
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
def test_memory_stays_flat(indent: int | None) -> None:
    count = 1000
    lines = text_of(numbered(1), indent).splitlines(keepends=True)
    lines[-1] += b"\n"
    file = itertools.chain.from_iterable(itertools.repeat(lines, count))
    # What the first event of a process leaves for all others is not counted.
    assert len(list(hubspot.read(lines, NOON))) == 1
    # simplejson's encoder leaves cycles, held by nobody and gone when they are collected; looking
    # for them among what was made before would take long.
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
        # Well for 500 lines, and then a comma is missing.
        ([b"[\n", *[text_of(numbered(2)) + b",\n"] * 500], 1500),
        # A string never goes on in the next line.
        ([b'[{"eventId": "1\n'], 2),
    ],
)
def test_what_never_closes_does_not_swallow_the_rest_of_a_long_file(
    broken: list[bytes], most_lines: int
) -> None:
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


# What is refused, and where.


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
def test_refusals_name_the_line_and_come_after_the_events_before(
    line: bytes, message: str, rest: bytes
) -> None:
    before = b"\n" + body(CHANGE, ASSOCIATION) + b"\n"
    # A string left open goes on to the end of its line, whether or not another line follows.
    if message.endswith("Unterminated string") and rest:
        message = message.partition(", column")[0]

    events, error = read_until_refused(before + line + rest)

    assert events == hubspot.parse(body(CHANGE, ASSOCIATION), NOON)
    assert str(error).startswith(message)


def test_the_events_before_one_in_the_same_delivery_are_given() -> None:
    events, error = read_until_refused(text_of([CHANGE, MERGE, {}, CHANGE]))

    assert events == hubspot.parse(body(CHANGE, MERGE), NOON)
    assert error.position == "line 1, event 2"


@settings(deadline=None)
@given(st.integers(1), st.sampled_from([None, 0, 2]), st.booleans())
def test_a_file_cut_off_anywhere_is_refused(place: int, indent: int | None, lines: bool) -> None:
    texts = [text_of(event, indent) for event in EVENTS] if lines else [text_of(EVENTS, indent)]
    whole = b"\n".join(texts)
    ends = set(itertools.accumulate(len(text) + 1 for text in texts))
    at = place % len(whole)
    # Between two texts nothing is missing of either.
    if at in ends or at + 1 in ends or at == 0:
        at += 2

    events, error = read_until_refused(whole[:at])

    assert error.position is not None
    assert events == hubspot.parse(body(*EVENTS), NOON)[: len(events)]
    assert len(events) < len(EVENTS)


@settings(deadline=None)
@given(st.binary(), st.integers(0), st.integers(0, 3))
def test_any_damage_is_read_or_refused(damage: bytes, place: int, removed: int) -> None:
    whole = text_of([CHANGE, MERGE], 2) + b"\n" + text_of(MESSAGE) + b"\n" + body(ASSOCIATION)
    at = place % len(whole)
    refusal = None
    try:
        events = read(whole[:at] + damage + whole[at + removed :])
    except InvalidPayload as error:
        events, refusal = [], error
    assert refusal is None or str(refusal).startswith("line ")
    assert all(event.source == "hubspot" for event in events)
