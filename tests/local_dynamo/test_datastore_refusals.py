"""Keys, items and times that the store refuses."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from quill_models import Key, Quill, Settings, connect
from quill_models.errors import InvalidPayload, InvalidValue, QuillError, TableNotFound
from tests.local_dynamo.support import HOUR, on_the_wire

KEY = Key("CONTACT#1", "STATE")


def nested(levels: int) -> dict[str, Any]:
    item: dict[str, Any] = {}
    for _ in range(levels):
        item = {"a": item}
    return item


def endless() -> list[Any]:
    inside_itself: list[Any] = []
    inside_itself.append(inside_itself)
    return inside_itself


class TestRefused:
    """Before any request, in words of its own."""

    @pytest.mark.parametrize(
        "key",
        [
            Key("", "a"),
            Key("a", ""),
            Key("a" * 2049, "a"),
            Key("a", "a" * 1025),
            Key("é" * 1025, "a"),
            Key("\ud800", "a"),
            Key("a", "\ud800"),
            Key(1, "a"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            Key("a", None),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            ("a", "b"),
            "a",
            None,
        ],
    )
    def test_keys(self, shared: Quill, key: Key) -> None:
        with on_the_wire(shared) as sent:
            for call in (
                lambda: shared.store.put(key, {}),
                lambda: shared.store.get(key),
                lambda: shared.store.delete(key),
                lambda: shared.store.check_and_mark(key, HOUR),
            ):
                with pytest.raises(InvalidValue):
                    call()
        assert sent == []

    @pytest.mark.parametrize("item", [[], None, "text", [("a", 1)]])
    def test_what_is_no_item(self, shared: Quill, item: Any) -> None:
        with pytest.raises(InvalidValue, match="mapping"):
            shared.store.put(KEY, item)

    def test_keys_of_the_greatest_length(self, shared: Quill) -> None:
        key = Key("é" * 1024, "é" * 512)
        assert shared.store.put(key, {"n": 1})
        assert shared.store.get(key) == {"n": 1}
        shared.store.delete(key)

    @pytest.mark.parametrize("name", ["pk", "sk", "ttl", "write_token", "", 1, None, "\ud800"])
    def test_names(self, shared: Quill, name: Any) -> None:
        with on_the_wire(shared) as sent, pytest.raises(InvalidValue):
            shared.store.put(KEY, {name: "x"})
        assert sent == []

    @pytest.mark.parametrize(
        "value",
        [
            float("nan"),
            float("inf"),
            Decimal("NaN"),
            Decimal("1E+126"),
            Decimal("1E-131"),
            Decimal("1" * 39),
            "\ud800",
            {"\ud800": 1},
            {"": 1},
            set(),
            {"a", 1},
            {None},
            {1: "a"},
            object(),
            datetime(2031, 5, 17),  # noqa: DTZ001
            [float("nan")],
            {"a": {"b": object()}},
            pytest.param(nested(40), id="deeper than 32 levels"),
            pytest.param(nested(5000), id="deeper than Python goes"),
            pytest.param(endless(), id="a list inside itself"),
        ],
    )
    def test_values(self, shared: Quill, value: Any) -> None:
        with pytest.raises(InvalidValue):
            shared.store.put(KEY, {"value": value})
        assert shared.store.get(KEY) is None

    def test_the_message_says_where(self, shared: Quill) -> None:
        with pytest.raises(InvalidValue, match=r"item\['a'\]\['b'\]\[1\]"):
            shared.store.put(KEY, {"a": {"b": [1, float("nan")]}})

    def test_more_than_400_kilobytes(self, shared: Quill) -> None:
        with on_the_wire(shared) as sent, pytest.raises(InvalidPayload, match="409"):
            shared.store.put(KEY, {"text": "x" * 400 * 1024})
        assert sent == []
        assert shared.store.put(KEY, {"text": "x" * (400 * 1024 - 150)})
        shared.store.delete(KEY)

    @pytest.mark.parametrize("ttl", [datetime(2031, 5, 17), 60, "1"])  # noqa: DTZ001
    def test_ttl(self, shared: Quill, ttl: Any) -> None:
        with on_the_wire(shared) as sent:
            with pytest.raises(InvalidValue):
                shared.store.put(KEY, {}, ttl=ttl)
            with pytest.raises(InvalidValue):
                shared.store.check_and_mark(KEY, ttl)
        assert sent == []

    def test_a_ttl_beyond_all_time(self, shared: Quill) -> None:
        with pytest.raises(QuillError):
            shared.store.put(KEY, {}, ttl=timedelta.max)

    def test_no_table(self, quill_settings: Settings) -> None:
        with connect(replace(quill_settings, table="not-there")) as quill:
            for call in (
                lambda: quill.store.put(KEY, {}),
                lambda: quill.store.get(KEY),
                lambda: list(quill.store.query("a")),
                lambda: quill.store.delete(KEY),
            ):
                with pytest.raises(TableNotFound, match="quill schema apply"):
                    call()
