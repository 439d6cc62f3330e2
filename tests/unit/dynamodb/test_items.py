"""The size of items."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quill_models.dynamodb.items import ITEM_BYTES, check_size, size_of
from quill_models.dynamodb.shards import DEFAULT_SHARDS
from quill_models.errors import InvalidPayload
from tests.unit.examples import webhook_event
from tests.unit.strategies import models, texts


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({}, 0),
        ({"pk": {"S": "AGENT#7"}}, 2 + 7),
        ({"ü": {"S": "🦜"}}, 2 + 4),
        ({"a": {"S": ""}}, 1),
        ({"a": {"BOOL": True}}, 1 + 1),
        ({"a": {"NULL": True}}, 1 + 1),
        ({"a": {"B": b"\x00\x01\x02"}}, 1 + 3),
        ({"a": {"SS": ["b", "üü"]}}, 1 + 1 + 4),
        ({"a": {"BS": [b"12", b"3"]}}, 1 + 3),
        ({"a": {"M": {}}}, 1 + 3),
        ({"a": {"L": []}}, 1 + 3),
        ({"a": {"M": {"b": {"S": "c"}}}}, 1 + 3 + (1 + 1 + 1)),
        ({"a": {"L": [{"S": "b"}, {"NULL": True}]}}, 1 + 3 + (1 + 1) + (1 + 1)),
        ({"a": {"L": [{"M": {"b": {"S": "c"}}}]}}, 1 + 3 + (3 + (1 + 1 + 1) + 1)),
    ],
)
def test_size_of_item_matches_the_rules(item: dict[str, Any], size: int) -> None:
    assert size_of(item) == size


@pytest.mark.parametrize("number", ["0", "7", "-7", "12", "1" * 38, "-" + "1" * 38, "1E+125"])
def test_size_of_number_is_never_too_small(number: str) -> None:
    # One byte for two digits, one more, and one for a minus sign.
    digits = sum(character.isdigit() for character in number)
    exact = (digits + 1) // 2 + 1 + number.startswith("-")
    assert exact <= size_of({"n": {"N": number}}) - 1 + 1 <= exact + 3


@given(st.dictionaries(texts(), st.text(), max_size=5))
def test_size_of_text_counts_utf8_bytes(named: dict[str, str]) -> None:
    size = size_of({name: {"S": text} for name, text in named.items()})
    assert size == sum(len(name.encode()) + len(text.encode()) for name, text in named.items())


@settings(max_examples=50)
@given(models())
def test_size_of_model_is_computed(model: Any) -> None:
    item = model.to_item(DEFAULT_SHARDS)
    assert check_size(item) == size_of(item) > 0


def _item(size: int) -> dict[str, Any]:
    item: dict[str, Any] = {"pk": {"S": "AGENT#7"}, "sk": {"S": "PROFILE"}, "text": {"S": ""}}
    item["text"]["S"] = "x" * (size - size_of(item))
    return item


def test_check_size_over_400_kb_raises() -> None:
    assert ITEM_BYTES == 409_600
    assert check_size(_item(ITEM_BYTES)) == ITEM_BYTES
    with pytest.raises(InvalidPayload, match="409601 bytes") as caught:
        check_size(_item(ITEM_BYTES + 1))
    message = str(caught.value)
    assert "AGENT#7 / PROFILE" in message
    assert "409600 (400 KB)" in message


def test_check_size_other_script_counts_bytes() -> None:
    event = webhook_event(payload={"text": "ü" * 210_000})
    with pytest.raises(InvalidPayload, match="WEBHOOK#hubspot#e1 / EVENT"):
        check_size(event.to_item(DEFAULT_SHARDS))
