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
    def test_put_get_query_delete(self, quill: Quill) -> None:
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

    def test_every_type_comes_back_as_it_was_put(self, quill: Quill) -> None:
        quill.store.put(KEY, EVERY_TYPE)
        got = quill.store.get(KEY)
        assert got == EVERY_TYPE
        assert got is not None
        assert (got.key, got.expires_at) == (KEY, None)
        assert isinstance(got["exact"], Decimal)

    def test_an_item_without_attributes(self, quill: Quill) -> None:
        assert quill.store.put(KEY, {})
        assert quill.store.get(KEY) == {}

    def test_floats_and_times_are_kept_as_their_text(self, quill: Quill) -> None:
        quill.store.put(KEY, {"f": 0.1, "t": NOON.astimezone(UTC)})
        assert quill.store.get(KEY) == {
            "f": Decimal("0.1"),
            "t": "2031-05-17T12:00:00.000000Z",
        }

    def test_what_the_caller_changes_afterwards_is_not_stored(self, quill: Quill) -> None:
        item = {"list": [1]}
        quill.store.put(KEY, item)
        item["list"].append(2)
        assert quill.store.get(KEY) == {"list": [1]}

    def test_each_call_is_one_request(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent:
            quill.store.put(KEY, {})
            quill.store.put(KEY, {}, if_not_exists=True)
            quill.store.get(KEY)
            list(quill.store.query(KEY.pk))
            quill.store.check_and_mark(KEY, HOUR)
            quill.store.delete(KEY)
        assert sent == ["PutItem", "PutItem", "GetItem", "Query", "PutItem", "DeleteItem"]


class TestConditionalPut:
    def test_only_the_first_is_written(self, quill: Quill) -> None:
        assert quill.store.put(KEY, {"n": 1}, if_not_exists=True) is True
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is False
        assert quill.store.put(KEY, {"n": 1}, if_not_exists=True) is False
        assert quill.store.get(KEY) == {"n": 1}

    def test_again_after_delete(self, quill: Quill) -> None:
        quill.store.put(KEY, {"n": 1}, if_not_exists=True)
        quill.store.delete(KEY)
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is True

    def test_the_sort_key_is_part_of_the_identity(self, quill: Quill) -> None:
        assert quill.store.put(Key("a", "1"), {}, if_not_exists=True)
        assert quill.store.put(Key("a", "2"), {}, if_not_exists=True)
        assert quill.store.put(Key("b", "1"), {}, if_not_exists=True)

    def test_it_is_kept_out_by_what_others_put(self, quill: Quill) -> None:
        store(quill, {"pk": {"S": KEY.pk}, "sk": {"S": KEY.sk}, "n": {"N": "1"}})
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is False
        assert quill.store.get(KEY) == {"n": 1}

    def test_a_ttl_that_is_no_number_never_expires(self, quill: Quill) -> None:
        store(quill, {"pk": {"S": KEY.pk}, "sk": {"S": KEY.sk}, "ttl": {"S": "1"}})
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is False
        assert len(list(quill.store.query(KEY.pk))) == 1


class TestQuery:
    def test_a_prefix_with_its_delimiter_never_matches_a_longer_number(self, quill: Quill) -> None:
        for sk in ("METRIC#1#a", "METRIC#1#b", "METRIC#10#a", "METRIC#1", "METRIC#2#a"):
            quill.store.put(Key("P", sk), {})
        assert sort_keys(quill, "P", "METRIC#1#") == ["METRIC#1#a", "METRIC#1#b"]
        assert sort_keys(quill, "P", prefix("METRIC", "10")) == ["METRIC#10#a"]
        assert sort_keys(quill, "P", "METRIC#3#") == []
        assert len(sort_keys(quill, "P", "")) == 5

    def test_other_partitions_are_not_read(self, quill: Quill) -> None:
        quill.store.put(Key("1", "a"), {})
        quill.store.put(Key("10", "a"), {})
        assert [item.key for item in quill.store.query("1")] == [Key("1", "a")]

    def test_it_reads_what_was_written_just_before(self, quill: Quill) -> None:
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
    def test_any_keys_and_prefix(self, quill: Quill, names: set[str], sk_prefix: str) -> None:
        for sk in names:
            quill.store.put(Key("any", sk), {})
        expected = sorted((sk for sk in names if sk.startswith(sk_prefix)), key=str.encode)
        assert sort_keys(quill, "any", sk_prefix) == expected
        for sk in names:
            quill.store.delete(Key("any", sk))


class TestLimits:
    def test_keys_of_the_greatest_length(self, quill: Quill) -> None:
        key = Key("é" * 1024, "é" * 512)
        assert quill.store.put(key, {"n": 1})
        assert quill.store.get(key) == {"n": 1}
        quill.store.delete(key)

    def test_more_than_400_kilobytes(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent, pytest.raises(InvalidPayload, match="409"):
            quill.store.put(KEY, {"text": "x" * 400 * 1024})
        assert sent == []
        assert quill.store.put(KEY, {"text": "x" * (400 * 1024 - 150)})
        quill.store.delete(KEY)

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


class TestLostAnswers:
    def test_a_conditional_put_knows_its_own(self, behind_proxy: Quill, proxy: Proxy) -> None:
        proxy.lose("PutItem", times=2)
        assert behind_proxy.store.put(KEY, {"n": 1}, if_not_exists=True) is True
        assert proxy.passed["PutItem"] == 3
        assert behind_proxy.store.put(KEY, {"n": 1}, if_not_exists=True) is False

    def test_a_loser_stays_one(self, quill: Quill, behind_proxy: Quill, proxy: Proxy) -> None:
        quill.store.put(KEY, {"n": 1}, if_not_exists=True)
        proxy.lose("PutItem")
        assert behind_proxy.store.put(KEY, {"n": 1}, if_not_exists=True) is False

    def test_reads_and_deletes_are_sent_again(self, behind_proxy: Quill, proxy: Proxy) -> None:
        behind_proxy.store.put(KEY, {"n": 1})
        for operation in ("GetItem", "Query", "DeleteItem"):
            proxy.lose(operation)
        assert behind_proxy.store.get(KEY) == {"n": 1}
        assert list(behind_proxy.store.query(KEY.pk)) == [{"n": 1}]
        behind_proxy.store.delete(KEY)
        assert behind_proxy.store.get(KEY) is None
