"""Plain items under plain keys, on a real DynamoDB Local."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from freezegun import freeze_time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quill_models import DataStore, Key, Quill, Settings, connect
from quill_models.errors import InvalidPayload, InvalidValue, QuillError, TableNotFound
from quill_models.keys import compose, prefix
from quill_models.schema import declared_table
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    HandClock,
    botocore_of,
    on_the_wire,
    race,
    store,
    stored,
    wait_until,
)

KEY = Key("CONTACT#1", "STATE")

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


@pytest.fixture
def unindexed(quill_settings: Settings) -> Iterator[Quill]:
    """A table without indexes: DynamoDB Local 3.3.0 deletes nothing that expires in others."""
    with connect(quill_settings) as quill:
        dynamodb, name = botocore_of(quill), quill_settings.table
        declared = declared_table()
        dynamodb.create_table(
            TableName=name,
            KeySchema=declared["KeySchema"],
            AttributeDefinitions=[
                attribute
                for attribute in declared["AttributeDefinitions"]
                if attribute["AttributeName"] in {"pk", "sk"}
            ],
            BillingMode=declared["BillingMode"],
        )
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
        )
        yield quill
        quill.schema.delete_table()


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
    def test_sort_key_order_is_that_of_utf_8(self, quill: Quill) -> None:
        keys = ["a", "B", "é", "10", "9", "z", "~", "\U0001f600", "￿", "a#1"]
        for sk in keys:
            quill.store.put(Key("P", sk), {})
        assert sort_keys(quill, "P") == sorted(keys, key=str.encode)

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

    def test_composed_identities_never_meet(self, quill: Quill) -> None:
        quill.store.put(Key(compose("A", "b#c"), "-"), {"n": 1})
        quill.store.put(Key(compose("A#b", "c"), "-"), {"n": 2})
        assert quill.store.get(Key(compose("A", "b#c"), "-")) == {"n": 1}
        assert quill.store.get(Key(compose("A#b", "c"), "-")) == {"n": 2}

    def test_more_than_a_megabyte_is_read_page_by_page_as_it_is_used(self, quill: Quill) -> None:
        # Four items make more than 1 MB.
        for number in range(10):
            quill.store.put(Key("P", f"{number:02d}"), {"n": number, "text": "x" * 300_000})
        with on_the_wire(quill) as sent:
            items = quill.store.query("P")
            assert sent == []
            assert [item["n"] for item in islice(items, 3)] == [0, 1, 2]
            assert sent == ["Query"]
            assert [item["n"] for item in items] == [3, 4, 5, 6, 7, 8, 9]
            assert 3 <= len(sent) <= 4
            assert set(sent) == {"Query"}

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
        max_examples=40,
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


class TestExpiry:
    """What has expired is absent, whether or not the server has deleted it."""

    def test_absent_to_every_call_while_the_server_still_has_it(
        self, clocked: Quill, clock: HandClock
    ) -> None:
        other = Key(KEY.pk, "kept")
        clocked.store.put(KEY, {"n": 1}, ttl=HOUR)
        clocked.store.put(other, {"n": 2})
        clock.advance(HOUR - SECOND)
        assert clocked.store.get(KEY) == {"n": 1}
        assert clocked.store.put(KEY, {"n": 3}, if_not_exists=True) is False
        assert clocked.store.check_and_mark(KEY, HOUR) is False

        clock.advance(SECOND)
        assert stored(clocked, KEY) is not None
        assert clocked.store.get(KEY) is None
        assert sort_keys(clocked, KEY.pk) == ["kept"]
        assert sort_keys(clocked, KEY.pk, "STA") == []
        clocked.store.delete(KEY)

    def test_a_conditional_put_replaces_it(self, clocked: Quill, clock: HandClock) -> None:
        clocked.store.put(KEY, {"n": 1, "old": True}, ttl=HOUR)
        clock.advance(HOUR)
        assert stored(clocked, KEY) is not None
        assert clocked.store.put(KEY, {"n": 2}, if_not_exists=True) is True
        assert clocked.store.get(KEY) == {"n": 2}
        clock.advance(365 * DAY)
        assert clocked.store.get(KEY) == {"n": 2}

    def test_a_mark_can_be_set_again(self, clocked: Quill, clock: HandClock) -> None:
        assert clocked.store.check_and_mark(KEY, MINUTE) is True
        assert clocked.store.check_and_mark(KEY, MINUTE) is False
        clock.advance(MINUTE)
        assert stored(clocked, KEY) is not None
        assert clocked.store.check_and_mark(KEY, MINUTE) is True
        assert clocked.store.check_and_mark(KEY, MINUTE) is False

    def test_as_timedelta_and_as_datetime(self, clocked: Quill) -> None:
        expected = int((NOON + HOUR).timestamp())
        clocked.store.put(Key("P", "1"), {}, ttl=HOUR)
        clocked.store.put(Key("P", "2"), {}, ttl=NOON + HOUR)
        elsewhere = (NOON + HOUR).astimezone(datetime.now().astimezone().tzinfo)
        clocked.store.put(Key("P", "3"), {}, ttl=elsewhere)
        assert [item.expires_at for item in clocked.store.query("P")] == [expected] * 3
        raw = stored(clocked, Key("P", "1"))
        assert raw is not None
        assert raw["ttl"] == {"N": str(expected)}

    def test_a_part_of_a_second_is_rounded_up(self, clocked: Quill, clock: HandClock) -> None:
        clocked.store.put(KEY, {}, ttl=timedelta(milliseconds=1500))
        clock.advance(timedelta(milliseconds=1999))
        assert clocked.store.get(KEY) is not None
        clock.advance(timedelta(milliseconds=1))
        assert clocked.store.get(KEY) is None

    def test_a_time_that_has_passed(self, clocked: Quill) -> None:
        assert clocked.store.put(KEY, {}, ttl=NOON - HOUR) is True
        assert clocked.store.get(KEY) is None

    def test_an_unconditional_put_without_ttl_takes_the_expiry_away(
        self, clocked: Quill, clock: HandClock
    ) -> None:
        clocked.store.put(KEY, {}, ttl=HOUR)
        clocked.store.put(KEY, {"n": 1})
        clock.advance(DAY)
        assert clocked.store.get(KEY) == {"n": 1}

    def test_a_page_of_expired_items_does_not_end_a_query(
        self, clocked: Quill, clock: HandClock
    ) -> None:
        for number in range(8):
            clocked.store.put(Key("P", f"{number}"), {"text": "x" * 300_000}, ttl=HOUR)
        clocked.store.put(Key("P", "9"), {})
        clock.advance(HOUR)
        assert sort_keys(clocked, "P") == ["9"]

    def test_time_frozen_by_freezegun(self, quill: Quill) -> None:
        with freeze_time(NOON) as frozen:
            assert quill.store.check_and_mark(KEY, HOUR)
            frozen.tick(HOUR - SECOND)
            assert not quill.store.check_and_mark(KEY, HOUR)
            frozen.tick(SECOND)
            assert quill.store.get(KEY) is None
            assert quill.store.check_and_mark(KEY, HOUR)

    def test_the_server_deletes_it_and_nothing_else(self, unindexed: Quill) -> None:
        kept, for_ever = Key(KEY.pk, "kept"), Key(KEY.pk, "for ever")
        unindexed.store.put(KEY, {}, ttl=2 * SECOND)
        unindexed.store.put(kept, {}, ttl=DAY)
        unindexed.store.put(for_ever, {})
        assert stored(unindexed, KEY) is not None
        wait_until(lambda: stored(unindexed, KEY) is None, within=60)
        assert stored(unindexed, kept) is not None
        assert stored(unindexed, for_ever) is not None
        assert unindexed.store.put(KEY, {"n": 2}, if_not_exists=True) is True


def mark(settings: Settings, keys: int, threads: int) -> list[int]:
    """Which of the marks this process got, with several threads after each."""
    won: list[int] = []
    with connect(settings) as quill:

        def mark_all() -> None:
            won.extend(
                number
                for number in range(keys)
                if quill.store.check_and_mark(Key("MARK", str(number)), HOUR)
            )

        running = [threading.Thread(target=mark_all) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    return won


class TestCheckAndMark:
    def test_exactly_one_of_many_processes_and_threads(self, quill: Quill) -> None:
        won = race(mark, [(quill.settings, 25, 4)] * 3)
        assert sorted(number for each in won for number in each) == list(range(25))

    def test_exactly_one_takes_over_an_expired_mark(self, clocked: Quill, clock: HandClock) -> None:
        assert clocked.store.check_and_mark(KEY, MINUTE)
        clock.advance(MINUTE)
        won: list[bool] = []

        def try_it() -> None:
            won.append(clocked.store.check_and_mark(KEY, MINUTE))

        running = [threading.Thread(target=try_it) for _ in range(8)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert sorted(won) == [False] * 7 + [True]


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

    def test_a_mark(self, behind_proxy: Quill, proxy: Proxy) -> None:
        proxy.lose("PutItem")
        assert behind_proxy.store.check_and_mark(KEY, HOUR) is True
        assert behind_proxy.store.check_and_mark(KEY, HOUR) is False

    def test_reads_and_deletes_are_sent_again(self, behind_proxy: Quill, proxy: Proxy) -> None:
        behind_proxy.store.put(KEY, {"n": 1})
        for operation in ("GetItem", "Query", "DeleteItem"):
            proxy.lose(operation)
        assert behind_proxy.store.get(KEY) == {"n": 1}
        assert list(behind_proxy.store.query(KEY.pk)) == [{"n": 1}]
        behind_proxy.store.delete(KEY)
        assert behind_proxy.store.get(KEY) is None


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
            Key(1, "a"),  # type: ignore[arg-type]
            Key("a", None),  # type: ignore[arg-type]
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
