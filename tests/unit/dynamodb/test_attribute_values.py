"""Conversion of Python values to attribute values."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from quill_models.dynamodb.attribute_values import from_attribute_value, to_attribute_value
from quill_models.errors import InvalidValue
from tests.unit.examples import NOON
from tests.unit.strategies import instants, numbers, texts

_leaves = st.one_of(
    st.none(),
    st.booleans(),
    numbers(),
    texts(min_size=0),
    st.binary(max_size=8),
)
_sets = st.one_of(
    st.sets(texts(), min_size=1, max_size=3),
    st.sets(numbers(), min_size=1, max_size=3),
    st.sets(st.binary(min_size=1, max_size=3), min_size=1, max_size=3),
)
_values = st.recursive(
    _leaves | _sets,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(texts(), inner, max_size=3)
    ),
    max_leaves=10,
)
_SHAPE = botocore.session.Session().get_service_model("dynamodb").shape_for("AttributeValue")


@given(_values)
def test_to_attribute_value_any_value_round_trips(value: Any) -> None:
    read = from_attribute_value(to_attribute_value(value, "item"))
    assert read == value
    assert type(read) is type(value)


@given(_values)
def test_to_attribute_value_stored_form_is_what_the_api_accepts(value: Any) -> None:
    report = ParamValidator().validate(to_attribute_value(value, "item"), _SHAPE)
    assert not report.has_errors(), report.generate_report()


class _Team(enum.StrEnum):
    NORTH = "north"


class _OldTeam(str, enum.Enum):  # noqa: UP042 -- as code for Python 3.10 writes it
    NORTH = "north"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("", {"S": ""}),
        ("ü#1", {"S": "ü#1"}),
        (_Team.NORTH, {"S": "north"}),
        (_OldTeam.NORTH, {"S": "north"}),
        (True, {"BOOL": True}),
        (False, {"BOOL": False}),
        (None, {"NULL": True}),
        (7, {"N": "7"}),
        (0.1, {"N": "0.1"}),
        (Decimal("1.10"), {"N": "1.10"}),
        (bytearray(b"ab"), {"B": b"ab"}),
        (NOON, {"S": "2031-05-17T12:00:00.000000Z"}),
        (("a", 1), {"L": [{"S": "a"}, {"N": "1"}]}),
        (frozenset({"a"}), {"SS": ["a"]}),
        ({1}, {"NS": ["1"]}),
        ({b"a"}, {"BS": [b"a"]}),
        ({"a": {"b": [None]}}, {"M": {"a": {"M": {"b": {"L": [{"NULL": True}]}}}}}),
    ],
)
def test_to_attribute_value_each_type_returns_wire_format(
    value: Any, stored: dict[str, Any]
) -> None:
    assert to_attribute_value(value, "item") == stored


@given(instants(), instants())
def test_to_attribute_value_times_returns_sortable_text(one: datetime, other: datetime) -> None:
    one_text = to_attribute_value(one, "item")["S"]
    other_text = to_attribute_value(other, "item")["S"]
    assert (one_text < other_text) == (one < other)


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _nested(levels: int) -> dict[str, Any]:
    item: dict[str, Any] = {}
    for _ in range(levels):
        item = {"a": item}
    return item


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": float("nan")}, r"item\['a'\] must be a finite number"),
        ({"a": [1, float("inf")]}, r"item\['a'\]\[1\] must be a finite number"),
        ({"a": {"b": 10**38 + 1}}, r"item\['a'\]\['b'\] must be a finite number"),
        ({"a": Decimal("1E-131")}, r"item\['a'\] must be a finite number"),
        ({"a": NOON.replace(tzinfo=None)}, r"item\['a'\].* has no time zone"),
        ({"a": ["\ud800"]}, r"item\['a'\]\[0\] is not valid Unicode"),
        ({"a": {"\ud800": 1}}, r"item\['a'\].* Unicode"),
        ({"a": {7: 1}}, r"item\['a'\] has a name that is not text: 7"),
        ({7: 1}, "item has a name that is not text: 7"),
        ({"a": object()}, r"item\['a'\] is a object"),
        ({"a": timedelta(1)}, r"item\['a'\] is a timedelta"),
        ({"a": set()}, r"item\['a'\] must be a non-empty set"),
        ({"a": {"b", 1}}, r"item\['a'\] must be a non-empty set of text, of numbers or of bytes"),
        ({"a": {None}}, r"item\['a'\] must be a non-empty set"),
        ({"a": {True}}, r"item\['a'\] must be a non-empty set"),
        ({"a": {float("nan")}}, r"a member of item\['a'\] must be a finite number"),
        ({"a": {"": 1}}, r"item\['a'\]"),
        pytest.param({"a": _circle()}, r"item\['a'\]", id="a list that contains itself"),
        pytest.param(_nested(40), r"item\['a'\]", id="deeper than 32 levels"),
        pytest.param(_nested(5000), r"item\['a'\]", id="deeper than Python goes"),
    ],
)
def test_to_attribute_value_invalid_value_raises_with_its_path(value: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        to_attribute_value(value, "item")


def test_to_attribute_value_other_time_zone_returns_utc() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=5)))
    assert to_attribute_value(east, "item") == to_attribute_value(NOON.astimezone(UTC), "item")
