"""Keys: escaping, order, prefixes and shards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from quill_models.errors import InvalidValue
from quill_models.values.keys import (
    DELIMITER,
    SORT_KEY_BYTES,
    compose,
    compose_order,
    escape,
    parse_time,
    prefix,
    prefix_end,
    sequence_text,
    shard_of,
    time_text,
)
from tests.unit.examples import NOON
from tests.unit.strategies import components, instants, texts

lists = st.lists(components(), min_size=1, max_size=4)


@given(components())
def test_escape_is_reversed_by_unquote(component: str) -> None:
    assert unquote(escape(component)) == component


@given(components())
def test_escape_has_no_delimiter_nor_lower_character(component: str) -> None:
    assert all(character > DELIMITER for character in escape(component))


@given(lists)
@example([""])
@example(["", ""])
@example(["a#b", "a%23b", "%"])
def test_compose_components_can_be_read_back(given_components: list[str]) -> None:
    assert [
        unquote(each) for each in compose(*given_components).split(DELIMITER)
    ] == given_components


@given(lists, lists)
@example(["a", "b"], ["a#b"])
@example(["a#b"], ["a%23b"])
@example([""], ["", ""])
def test_compose_distinct_components_have_distinct_keys(one: list[str], other: list[str]) -> None:
    assert (compose(*one) == compose(*other)) == (one == other)


@pytest.mark.parametrize(
    ("component", "escaped"),
    [
        ("plain", "plain"),
        ("agent:7", "agent:7"),
        ("a#b", "a%23b"),
        ("a%23b", "a%2523b"),
        ("a b", "a%20b"),
        ("\x00\n", "%00%0A"),
        ("!$&", "%21%24&"),
        ("ü🦜", "ü🦜"),
        ("", ""),
    ],
)
def test_escape_examples(component: str, escaped: str) -> None:
    assert escape(component) == escaped


# DynamoDB sorts text by its UTF-8 bytes.


@given(lists, lists)
@example(["a", "b"], ["a\x00"])
@example(["1", "~"], ["10"])
@example(["\uffff"], ["\U00010000"])
def test_compose_sorts_as_the_components(one: list[str], other: list[str]) -> None:
    assert (compose(*one).encode() < compose(*other).encode()) == (one < other)


@given(instants(), instants())
def test_time_text_sorts_as_the_times(one: datetime, other: datetime) -> None:
    assert (time_text(one) < time_text(other)) == (one < other)
    assert (time_text(one) == time_text(other)) == (one == other)


@given(instants())
def test_parse_time_of_time_text_round_trips(instant: datetime) -> None:
    text = time_text(instant)
    assert len(text) == 27
    assert parse_time(text) == instant
    assert parse_time(text).tzinfo is UTC


def test_time_text_examples() -> None:
    assert time_text(NOON) == "2031-05-17T12:00:00.000000Z"
    west = timezone(timedelta(hours=-5, minutes=-30))
    assert time_text(datetime(2031, 5, 17, 23, 59, 59, 7, west)) == "2031-05-18T05:29:59.000007Z"


def test_time_text_naive_raises() -> None:
    with pytest.raises(InvalidValue, match="no time zone"):
        time_text(datetime(2031, 5, 17))  # noqa: DTZ001 -- what is refused


@given(st.integers(0, 10**10 - 1), st.integers(0, 10**10 - 1))
def test_sequence_text_sorts_as_the_numbers(one: int, other: int) -> None:
    assert (sequence_text(one) < sequence_text(other)) == (one < other)
    assert int(sequence_text(one)) == one


@pytest.mark.parametrize("number", [-1, 10**10])
def test_sequence_text_outside_range_raises(number: int) -> None:
    with pytest.raises(InvalidValue, match=str(number)):
        sequence_text(number)


@given(lists, lists)
@example(["METRIC", "1"], ["METRIC", "10"])
@example(["a"], ["a#b"])
@example(["a"], ["a%23b"])
@example(["ü"], ["ü🦜", "x"])
@example([""], ["", ""])
@example(["x" * 300], ["x" * 301, ""])
def test_prefix_matches_only_its_components(start: list[str], key: list[str]) -> None:
    continues = len(key) > len(start) and key[: len(start)] == start
    assert compose(*key).startswith(prefix(*start)) == continues
    assert (prefix(*start) <= compose(*key) < prefix_end(*start)) == continues


@given(lists, st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_prefix_end_range_has_only_the_prefix(start: list[str], rest: str) -> None:
    text = compose(*start) + rest
    within = prefix(*start) <= text < prefix_end(*start)
    assert within == text.startswith(prefix(*start))


@given(lists, texts())
def test_prefix_end_smaller_end_misses_a_key(start: list[str], rest: str) -> None:
    below = prefix(*start) + escape(rest)
    assert below < prefix_end(*start)
    # Another key with the same prefix is above this one.
    assert below < compose(*start, rest, "") < prefix_end(*start)


_LONG = st.builds(
    lambda text, times, end: (text * times)[:1100] + end,
    st.sampled_from(("x", "ü", "€", "🦜", "x€", "%", "aü€🦜")),
    st.integers(1, 1100),
    texts(min_size=0),
)


@given(_LONG)
def test_compose_order_cut_is_valid_and_fits(name: str) -> None:
    order = compose_order("AGENT", name)
    assert len(order.encode()) <= SORT_KEY_BYTES
    if len(compose("AGENT", name).encode()) <= SORT_KEY_BYTES:
        assert order == compose("AGENT", name)
    else:
        assert len(order.encode()) > SORT_KEY_BYTES - 4


@given(_LONG, _LONG)
@example("x" * 1016 + "ab", "x" * 1016 + "€")
@example("x" * 1017 + "a", "x" * 1017 + "ü")
@example("x" * 1015 + "ü" * 2, "x" * 1015 + "🦜")
@example("x" * 1015 + "€" * 2, "x" * 1015 + "🦜")
def test_compose_order_cut_keeps_the_order(one: str, other: str) -> None:
    if compose("AGENT", one) > compose("AGENT", other):
        one, other = other, one
    assert compose_order("AGENT", one) <= compose_order("AGENT", other)


_ends = st.text("a~ü€🦜\uffff\U0010ffff", min_size=1, max_size=6)


@given(st.integers(SORT_KEY_BYTES - 4, SORT_KEY_BYTES - 1), _ends, _ends)
def test_compose_order_cut_keeps_the_order_at_the_cut(common: int, one: str, other: str) -> None:
    lower, upper = sorted(("x" * common + one, "x" * common + other))
    assert compose_order(lower) <= compose_order(upper)


@given(st.lists(texts(), min_size=1, max_size=3), st.lists(texts(), min_size=1, max_size=3))
def test_compose_order_uncut_sorts_as_the_components(one: list[str], other: list[str]) -> None:
    assume(max(len(compose(*one).encode()), len(compose(*other).encode())) <= SORT_KEY_BYTES)
    assert (compose_order(*one) < compose_order(*other)) == (one < other)


@pytest.mark.parametrize(
    ("identity", "of_4", "of_16"),
    [
        ("INTERACTION#call-1#INTERACTION", 0, 12),
        ("WEBHOOK#hubspot#e1#EVENT", 1, 13),
        ("JOB#sync#RUN#2031-05-17T12", 2, 6),
        ("ü🦜", 2, 6),
        ("", 0, 0),
    ],
)
def test_shard_of_identity_never_changes(identity: str, of_4: int, of_16: int) -> None:
    # Pinned: another shard would lose stored items.
    assert (shard_of(identity, 4), shard_of(identity, 16)) == (of_4, of_16)


@pytest.mark.parametrize("shards", [2, 3, 4, 7, 16, 64])
@pytest.mark.parametrize("identity", ["event-{}", "{}", "2031-05-17T12:{}"])
def test_shard_of_identities_is_evenly_spread(shards: int, identity: str) -> None:
    total = 20_000
    counts = [0] * shards
    for number in range(total):
        counts[shard_of(identity.format(number), shards)] += 1
    even = total / shards
    assert max(counts) < even * 1.25
    assert min(counts) > even * 0.75


@given(texts(min_size=0), st.integers(1, 9999))
def test_shard_of_is_in_range(identity: str, shards: int) -> None:
    assert 0 <= shard_of(identity, shards) < shards


def test_rules_examples_sort_as_documented() -> None:
    ordered = [
        compose("1"),
        compose("1", ""),
        compose("1", "\x00"),
        compose("1", "#"),
        compose("1", "%"),
        compose("1", "9"),
        compose("1", "ü"),
        compose("1", "🦜"),
        compose("1\x00"),
        compose("10"),
        compose("a", "b"),
        compose("a#b"),
        compose("a%23b"),
        compose("ab"),
    ]
    assert all(lower.encode() < upper.encode() for lower, upper in pairwise(ordered))
