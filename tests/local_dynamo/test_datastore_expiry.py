"""Items that expire, and marks: a key set by one caller until it expires."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from freezegun import freeze_time

from quill_models import Key, Quill, Settings, connect
from quill_models.local import embedded
from quill_models.schema import declared_table
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    botocore_of,
    race,
    stored,
    wait_until,
)

KEY = Key("CONTACT#1", "STATE")

quill = tables.emptied


@pytest.fixture
def unindexed(quill_settings: Settings) -> Iterator[Quill]:
    """A table without indexes: DynamoDB Local 3.3.0 deletes nothing that expires in others.

    On a server of its own, as one that had many tables may be busy with those.
    """
    found = Settings.load(env_file=None)
    with (
        embedded(local_home=found.local_home, java_home=found.java_home) as server,
        connect(replace(quill_settings, endpoint=server.endpoint)) as quill,
    ):
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


class TestExpiry:
    """Expired items are absent, whether or not the server has deleted them."""

    def test_expired_item_is_absent_for_every_call(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        other = Key(KEY.pk, "kept")
        quill.store.put(KEY, {"n": 1}, ttl=HOUR)
        quill.store.put(other, {"n": 2})
        quill_clock.tick(HOUR - SECOND)
        assert quill.store.get(KEY) == {"n": 1}
        assert quill.store.put(KEY, {"n": 3}, if_not_exists=True) is False
        assert quill.store.check_and_mark(KEY, HOUR) is False

        quill_clock.tick(SECOND)
        assert stored(quill, KEY) is not None
        assert quill.store.get(KEY) is None
        assert sort_keys(quill, KEY.pk) == ["kept"]
        assert sort_keys(quill, KEY.pk, "STA") == []
        quill.store.delete(KEY)

    def test_expired_item_is_replaced_by_put_if_not_exists(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.store.put(KEY, {"n": 1, "old": True}, ttl=HOUR)
        quill_clock.tick(HOUR)
        assert stored(quill, KEY) is not None
        assert quill.store.put(KEY, {"n": 2}, if_not_exists=True) is True
        assert quill.store.get(KEY) == {"n": 2}
        quill_clock.tick(365 * DAY)
        assert quill.store.get(KEY) == {"n": 2}

    def test_expired_mark_can_be_set_again(self, quill: Quill, quill_clock: FrozenClock) -> None:
        assert quill.store.check_and_mark(KEY, MINUTE) is True
        assert quill.store.check_and_mark(KEY, MINUTE) is False
        quill_clock.tick(MINUTE)
        assert stored(quill, KEY) is not None
        assert quill.store.check_and_mark(KEY, MINUTE) is True
        assert quill.store.check_and_mark(KEY, MINUTE) is False

    @pytest.mark.usefixtures("quill_clock")
    def test_ttl_timedelta_equals_datetime(self, quill: Quill) -> None:
        expected = int((NOON + HOUR).timestamp())
        quill.store.put(Key("P", "1"), {}, ttl=HOUR)
        quill.store.put(Key("P", "2"), {}, ttl=NOON + HOUR)
        elsewhere = (NOON + HOUR).astimezone(datetime.now().astimezone().tzinfo)
        quill.store.put(Key("P", "3"), {}, ttl=elsewhere)
        assert [item.expires_at for item in quill.store.query("P")] == [expected] * 3
        raw = stored(quill, Key("P", "1"))
        assert raw is not None
        assert raw["ttl"] == {"N": str(expected)}

    def test_ttl_is_rounded_up_to_seconds(self, quill: Quill, quill_clock: FrozenClock) -> None:
        quill.store.put(KEY, {}, ttl=timedelta(milliseconds=1500))
        quill_clock.tick(timedelta(milliseconds=1999))
        assert quill.store.get(KEY) is not None
        quill_clock.tick(timedelta(milliseconds=1))
        assert quill.store.get(KEY) is None

    @pytest.mark.usefixtures("quill_clock")
    def test_ttl_in_the_past_is_absent_at_once(self, quill: Quill) -> None:
        assert quill.store.put(KEY, {}, ttl=NOON - HOUR) is True
        assert quill.store.get(KEY) is None

    def test_put_without_ttl_removes_the_expiry(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.store.put(KEY, {}, ttl=HOUR)
        quill.store.put(KEY, {"n": 1})
        quill_clock.tick(DAY)
        assert quill.store.get(KEY) == {"n": 1}

    def test_query_page_of_expired_items_continues(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        for number in range(8):
            quill.store.put(Key("P", f"{number}"), {"text": "x" * 300_000}, ttl=HOUR)
        quill.store.put(Key("P", "9"), {})
        quill_clock.tick(HOUR)
        assert sort_keys(quill, "P") == ["9"]

    def test_expired_item_by_freezegun_is_absent(self, quill: Quill) -> None:
        with freeze_time(NOON) as frozen:
            assert quill.store.check_and_mark(KEY, HOUR)
            frozen.tick(HOUR - SECOND)
            assert not quill.store.check_and_mark(KEY, HOUR)
            frozen.tick(SECOND)
            assert quill.store.get(KEY) is None
            assert quill.store.check_and_mark(KEY, HOUR)

    def test_expired_item_is_deleted_by_the_server(self, unindexed: Quill) -> None:
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
    def test_check_and_mark_many_processes_and_threads_one_is_true(self, quill: Quill) -> None:
        won = race(mark, [(quill.settings, 25, 4)] * 3)
        assert sorted(number for each in won for number in each) == list(range(25))

    def test_check_and_mark_expired_mark_one_is_true(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        assert quill.store.check_and_mark(KEY, MINUTE)
        quill_clock.tick(MINUTE)
        won: list[bool] = []

        def try_it() -> None:
            won.append(quill.store.check_and_mark(KEY, MINUTE))

        running = [threading.Thread(target=try_it) for _ in range(8)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert sorted(won) == [False] * 7 + [True]
