"""Plain items under plain keys, on a real DynamoDB Local."""

from dataclasses import replace
from datetime import UTC
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quill_models import DataStore, Key, Quill, Settings, connect
from quill_models.errors import InvalidPayload, TableNotFound
from quill_models.values.keys import prefix
from tests.local_dynamo import tables
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import HOUR, NOON, on_the_wire, store

KEY = Key("CONTACT#1", "STATE")

quill = tables.emptied

EVERY_TYPE = {
    "text": "Zoë # 1",
    "empty": "",
    "number": 12,
    "exact": Decimal("0.1"),
    "long": Decimal(12345678901234567890123456789012345678),
    "yes": True,
    "no": False,
    "nothing": None,
    "bytes": b"\x00\xff",
    "list": ["a", 1, None, ["b"]],
    "map": {"a": {"b": Decimal("1.50")}, "c": 1},
    "texts": {"a", "b"},
    "numbers": {Decimal(1), Decimal(2)},
    "blobs": {b"a"},
}


def sort_keys(quill: Quill, pk: str, sk_prefix: str | None = None) -> list[str]:
    return [item.key.sk for item in quill.store.query(pk, sk_prefix)]


class TestRoundTrip:
    def test_put_get_query_delete_round_trip(self, quill: Quill) -> None:
        assert isinstance(quill.store, DataStore)
        assert quill.store.get(KEY) is None
        assert quill.store.put(KEY, {"n": 1}) is True
        assert quill.store.get(KEY) == {"n": 1}
        assert quill.store.put(KEY, {"n": 2}) is True
        assert list(quill.store.query(KEY.pk)) == [{"n": 2}]
        quill.store.delete(KEY)
        assert quill.store.get(KEY) is None
        assert list(quill.store.query(KEY.pk)) == []
        quill.store.delete(KEY)

    def test_put_every_type_round_trips(self, quill: Quill) -> None:
        quill.store.put(KEY, EVERY_TYPE)
        got = quill.store.get(KEY)
        assert got == EVERY_TYPE
        assert got is not None
        assert (got.key, got.expires_at) == (KEY, None)
        assert isinstance(got["exact"], Decimal)

    def test_put_without_attributes_round_trips(self, quill: Quill) -> None:
        assert quill.store.put(KEY, {})
        assert quill.store.get(KEY) == {}

    def test_put_floats_and_times_are_stored_as_text(self, quill: Quill) -> None:
        quill.store.put(KEY, {"f": 0.1, "t": NOON.astimezone(UTC)})
        assert quill.store.get(KEY) == {
            "f": Decimal("0.1"),
            "t": "2031-05-17T12:00:00.000000Z",
        }

    def test_put_later_change_of_input_is_not_stored(self, quill: Quill) -> None:
        item = {"list": [1]}
        quill.store.put(KEY, item)
        item["list"].append(2)
        assert quill.store.get(KEY) == {"list": [1]}

    def test_every_call_costs_one_request(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent:
            quill.store.put(KEY, {})
            quill.store.put(KEY, {}, if_not_exists=True)
            quill.store.get(KEY)
            list(quill.store.query(KEY.pk))
            quill.store.check_and_mark(KEY, HOUR)
            quill.store.delete(KEY)
        assert sent == ["PutItem", "PutItem", "GetItem", "Query", "PutItem", "DeleteItem"]


class TestConditionalPut:
    def test_put_if_not_exists_only_first_is_written(self, quill: Quill) -> None:
        assert quill.store.put(KEY, {"n": 1}, if_not_exists=True) is True
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is False
        assert quill.store.put(KEY, {"n": 1}, if_not_exists=True) is False
        assert quill.store.get(KEY) == {"n": 1}

    def test_put_if_not_exists_after_delete_is_written(self, quill: Quill) -> None:
        quill.store.put(KEY, {"n": 1}, if_not_exists=True)
        quill.store.delete(KEY)
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is True

    def test_put_if_not_exists_sort_key_is_part_of_the_identity(self, quill: Quill) -> None:
        assert quill.store.put(Key("a", "1"), {}, if_not_exists=True)
        assert quill.store.put(Key("a", "2"), {}, if_not_exists=True)
        assert quill.store.put(Key("b", "1"), {}, if_not_exists=True)

    def test_put_if_not_exists_item_of_others_returns_false(self, quill: Quill) -> None:
        store(quill, {"pk": {"S": KEY.pk}, "sk": {"S": KEY.sk}, "n": {"N": "1"}})
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is False
        assert quill.store.get(KEY) == {"n": 1}

    def test_put_if_not_exists_ttl_not_a_number_never_expires(self, quill: Quill) -> None:
        store(quill, {"pk": {"S": KEY.pk}, "sk": {"S": KEY.sk}, "ttl": {"S": "1"}})
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is False
        assert len(list(quill.store.query(KEY.pk))) == 1


class TestQuery:
    def test_query_prefix_with_delimiter_excludes_longer_numbers(self, quill: Quill) -> None:
        for sk in ("METRIC#1#a", "METRIC#1#b", "METRIC#10#a", "METRIC#1", "METRIC#2#a"):
            quill.store.put(Key("P", sk), {})
        assert sort_keys(quill, "P", "METRIC#1#") == ["METRIC#1#a", "METRIC#1#b"]
        assert sort_keys(quill, "P", prefix("METRIC", "10")) == ["METRIC#10#a"]
        assert sort_keys(quill, "P", "METRIC#3#") == []
        assert len(sort_keys(quill, "P", "")) == 5

    def test_query_excludes_other_partitions(self, quill: Quill) -> None:
        quill.store.put(Key("1", "a"), {})
        quill.store.put(Key("10", "a"), {})
        assert [item.key for item in quill.store.query("1")] == [Key("1", "a")]

    def test_query_reads_the_last_write(self, quill: Quill) -> None:
        for number in range(20):
            quill.store.put(Key("P", f"{number:02d}"), {})
            assert len(sort_keys(quill, "P")) == number + 1

    @given(
        names=st.sets(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=8
        ),
        sk_prefix=st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    )
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_query_any_keys_and_prefix_returns_the_matching(
        self, quill: Quill, names: set[str], sk_prefix: str
    ) -> None:
        for sk in names:
            quill.store.put(Key("any", sk), {})
        expected = sorted((sk for sk in names if sk.startswith(sk_prefix)), key=str.encode)
        assert sort_keys(quill, "any", sk_prefix) == expected
        for sk in names:
            quill.store.delete(Key("any", sk))


class TestLimits:
    def test_put_longest_keys_are_accepted(self, quill: Quill) -> None:
        key = Key("é" * 1024, "é" * 512)
        assert quill.store.put(key, {"n": 1})
        assert quill.store.get(key) == {"n": 1}
        quill.store.delete(key)

    def test_put_over_400_kb_raises(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent, pytest.raises(InvalidPayload, match="409"):
            quill.store.put(KEY, {"text": "x" * 400 * 1024})
        assert sent == []
        assert quill.store.put(KEY, {"text": "x" * (400 * 1024 - 150)})
        quill.store.delete(KEY)

    def test_get_missing_table_raises_table_not_found(self, quill_settings: Settings) -> None:
        with connect(replace(quill_settings, table="not-there")) as quill:
            for call in (
                lambda: quill.store.put(KEY, {}),
                lambda: quill.store.get(KEY),
                lambda: list(quill.store.query("a")),
                lambda: quill.store.delete(KEY),
            ):
                with pytest.raises(TableNotFound, match="quill schema apply"):
                    call()


class TestLostAnswers:
    def test_put_if_not_exists_lost_response_returns_true(
        self, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        proxy.lose("PutItem", times=2)
        assert behind_proxy.store.put(KEY, {"n": 1}, if_not_exists=True) is True
        assert proxy.passed["PutItem"] == 3
        assert behind_proxy.store.put(KEY, {"n": 1}, if_not_exists=True) is False

    def test_put_if_not_exists_loser_with_lost_response_returns_false(
        self, quill: Quill, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        quill.store.put(KEY, {"n": 1}, if_not_exists=True)
        proxy.lose("PutItem")
        assert behind_proxy.store.put(KEY, {"n": 1}, if_not_exists=True) is False

    def test_reads_and_deletes_lost_response_are_retried(
        self, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        behind_proxy.store.put(KEY, {"n": 1})
        for operation in ("GetItem", "Query", "DeleteItem"):
            proxy.lose(operation)
        assert behind_proxy.store.get(KEY) == {"n": 1}
        assert list(behind_proxy.store.query(KEY.pk)) == [{"n": 1}]
        behind_proxy.store.delete(KEY)
        assert behind_proxy.store.get(KEY) is None
