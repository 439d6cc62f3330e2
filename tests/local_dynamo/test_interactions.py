"""Interactions: facts, edits, external ids, lists and ranges."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from quill_models import Agent, Interaction, Outcome, Quill
from quill_models.errors import InvalidValue
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    NOON,
    SECOND,
    interaction,
    is_as_stored,
    on_the_wire,
    store,
)

CREATED, UPDATED, UNCHANGED = Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED
STALE, CONFLICT, DUPLICATE = Outcome.STALE, Outcome.CONFLICT, Outcome.DUPLICATE
MICROSECOND = timedelta(microseconds=1)

quill = tables.emptied


def call(key: str = "i1", **fields: Any) -> Interaction:
    return interaction(
        key,
        **{
            "source": "hubspot",
            "external_id": f"x-{key}",
            "agent_id": "ada",
            "contact_id": "77",
            "duration_seconds": Decimal("330.5"),
            "attributes": {"rating": 5, "share": Decimal("0.10")},
            "source_updated_at": NOON,
            **fields,
        },
    )


def ids(interactions: Any) -> list[str]:
    return [each.interaction_id for each in interactions]


class TestRecord:
    @pytest.mark.usefixtures("quill_clock")
    def test_record_new_interaction_returns_created(self, quill: Quill) -> None:
        result = quill.interactions.record(call())
        assert (result.outcome, result.created) == (CREATED, True)
        assert result.item == call()
        assert (result.item.created_at, result.item.ttl) == (NOON, None)
        assert is_as_stored(quill, result.item)
        assert quill.interactions.get("i1") == call()

    def test_record_same_content_returns_duplicate(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.interactions.record(call())
        quill_clock.tick(SECOND)
        result = quill.interactions.record(call())
        assert (result.outcome, result.created) == (DUPLICATE, False)
        assert result.item.created_at == NOON
        assert is_as_stored(quill, result.item)

    def test_record_other_content_returns_conflict(self, quill: Quill) -> None:
        quill.interactions.record(call())
        result = quill.interactions.record(call(subject="other"))
        assert result.outcome is CONFLICT
        assert result.item == call()
        assert is_as_stored(quill, result.item)

    def test_record_external_id_of_other_item_returns_conflict(self, quill: Quill) -> None:
        quill.interactions.record(call())
        result = quill.interactions.record(call("i2", external_id="x-i1"))
        assert (result.outcome, result.item) == (CONFLICT, call())
        assert is_as_stored(quill, result.item)
        assert quill.interactions.get("i2") is None

    def test_record_external_id_of_other_source_returns_created(self, quill: Quill) -> None:
        quill.interactions.record(call())
        other = call("i2", external_id="x-i1", source="phone")
        assert quill.interactions.record(other).outcome is CREATED
        assert quill.interactions.get_by_external_id("phone", "x-i1") == other
        assert quill.interactions.get_by_external_id("hubspot", "x-i1") == call()


class TestPut:
    def test_put_returns_every_outcome(self, quill: Quill, quill_clock: FrozenClock) -> None:
        put = quill.interactions.put
        assert put(call()).outcome is CREATED
        quill_clock.tick(HOUR)
        unchanged = put(call())
        assert unchanged.outcome is UNCHANGED
        assert is_as_stored(quill, unchanged.item)
        updated = put(call(subject="B", source_updated_at=NOON + HOUR))
        assert updated.outcome is UPDATED
        assert (updated.item.created_at, updated.item.updated_at) == (NOON, NOON + HOUR)
        assert is_as_stored(quill, updated.item)
        stale = put(call())
        assert (stale.outcome, stale.item) == (STALE, updated.item)
        assert is_as_stored(quill, stale.item)
        conflict = put(call("i2", external_id="x-i1"))
        assert (conflict.outcome, conflict.item) == (CONFLICT, updated.item)
        assert quill.interactions.get("i1") == updated.item


class TestExternalId:
    def test_get_by_external_id_costs_one_request(self, quill: Quill) -> None:
        quill.interactions.put(call())
        with on_the_wire(quill) as sent:
            assert quill.interactions.get_by_external_id("hubspot", "x-i1") == call()
            assert quill.interactions.get("i1") == call()
        assert sent == ["GetItem", "GetItem"]

    def test_get_by_external_id_accepts_any_text(self, quill: Quill) -> None:
        quill.interactions.put(call("1", source="a", external_id="b#c"))
        quill.interactions.put(call("2", source="a#b", external_id="c"))
        found = quill.interactions.get_by_external_id
        assert ids([found("a", "b#c"), found("a#b", "c")]) == ["1", "2"]


class TestDelete:
    def test_delete_removes_item_and_claim(self, quill: Quill) -> None:
        quill.interactions.put(call())
        quill.interactions.delete("i1")
        assert quill.interactions.get("i1") is None
        assert quill.interactions.get_by_external_id("hubspot", "x-i1") is None
        assert ids(quill.interactions.list_by_agent("ada")) == []
        assert ids(quill.interactions.list_by_day(NOON.date())) == []
        quill.interactions.delete("i1")
        assert quill.interactions.put(call("i2", external_id="x-i1")).outcome is CREATED
        assert quill.interactions.record(call(external_id=None)).outcome is CREATED

    def test_delete_lost_response_is_safe(self, behind_proxy: Quill, proxy: Proxy) -> None:
        for key, each in (("i1", call()), ("plain", interaction("plain"))):
            behind_proxy.interactions.put(each)
            proxy.lose("TransactWriteItems")
            proxy.lose("DeleteItem")
            behind_proxy.interactions.delete(key)
            assert behind_proxy.interactions.get(key) is None

    def test_delete_item_saved_by_pynamodb_keeps_other_claim(self, quill: Quill) -> None:
        quill.interactions.put(call())
        other = call("i2", external_id="x-i1")
        with pytest.raises(InvalidValue, match="of the repository"):
            other.save()
        store(quill, other.to_item(1))
        quill.interactions.delete("i2")
        assert quill.interactions.get("i2") is None
        assert quill.interactions.get_by_external_id("hubspot", "x-i1") == call()


class TestLists:
    def test_list_order_and_ranges_are_by_start(self, quill: Quill) -> None:
        times = [NOON, NOON + MICROSECOND, NOON + SECOND, NOON + HOUR]
        quill.interactions.put_many(
            call(str(number), started_at=at) for number, at in enumerate(times)
        )
        elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))

        def by_agent(**options: Any) -> list[str]:
            return ids(quill.interactions.list_by_agent("ada", **options))

        def by_contact(**options: Any) -> list[str]:
            return ids(quill.interactions.list_by_contact("77", **options))

        for listed in (by_agent, by_contact):
            assert listed() == ["0", "1", "2", "3"]
            assert listed(newest_first=True) == ["3", "2", "1", "0"]
            assert listed(since=NOON) == ["0", "1", "2", "3"]
            assert listed(since=NOON + MICROSECOND) == ["1", "2", "3"]
            assert listed(until=NOON) == []
            assert listed(until=NOON + MICROSECOND) == ["0"]
            assert listed(since=NOON, until=NOON + SECOND) == ["0", "1"]
            assert listed(since=NOON, until=NOON + SECOND, newest_first=True) == ["1", "0"]
            assert listed(since=NOON + SECOND, until=NOON + SECOND) == []
            assert listed(since=NOON + HOUR, until=NOON) == []
            assert listed(since=elsewhere, until=elsewhere + SECOND) == ["0", "1"]

    def test_list_naive_time_raises(self, quill: Quill) -> None:
        naive = datetime(2031, 5, 17)  # noqa: DTZ001
        for end in ("since", "until"):
            options: dict[str, Any] = {end: naive}
            with pytest.raises(InvalidValue, match="time zone"):
                quill.interactions.list_by_agent("ada", **options)
            with pytest.raises(InvalidValue, match="time zone"):
                quill.interactions.list_by_contact("77", **options)

    def test_list_equal_times_are_ordered_by_id(self, quill: Quill) -> None:
        keys = ["b", "a#1", "a", "ü", "a 1"]
        quill.interactions.put_many(call(key, external_id=None) for key in keys)
        expected = ["a", "a 1", "a#1", "b", "ü"]
        assert ids(quill.interactions.list_by_agent("ada")) == expected
        assert ids(quill.interactions.list_by_day(NOON.date())) == expected

    def test_list_by_day_is_of_utc_and_all_agents(self, quill: Quill) -> None:
        midnight = datetime(2031, 5, 17, tzinfo=UTC)
        east = timezone(timedelta(hours=14))
        starts = {
            "before": midnight - MICROSECOND,
            "first": midnight,
            "east": (midnight + HOUR).astimezone(east),
            "last": midnight + DAY - MICROSECOND,
            "after": midnight + DAY,
        }
        quill.interactions.put_many(
            interaction(key, started_at=at, agent_id=key) for key, at in starts.items()
        )
        by_day = quill.interactions.list_by_day
        assert ids(by_day(midnight.date())) == ["first", "east", "last"]
        assert ids(by_day(midnight.date(), newest_first=True)) == ["last", "east", "first"]
        assert ids(by_day(midnight.date() - DAY)) == ["before"]
        for wrong in (NOON, "2031-05-17"):
            with pytest.raises(InvalidValue):
                by_day(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def test_list_by_agent_excludes_the_agent_itself(self, quill: Quill) -> None:
        quill.agents.put(Agent(agent_id="ada"))
        quill.interactions.put_many([call("1"), call("2", started_at=NOON + HOUR)])
        assert ids(quill.interactions.list_by_agent("ada")) == ["1", "2"]
        assert ids(quill.interactions.list_by_agent("ada", since=NOON + SECOND)) == ["2"]
        assert quill.interactions.list_by_agent("ada").count() == 2
        with on_the_wire(quill) as sent:
            agent, latest = quill.agents.get_with_interactions("ada", limit=1)
        assert (agent, ids(latest), sent) == (Agent(agent_id="ada"), ["2"], ["Query"])
        assert quill.agents.get_with_interactions("nobody") == (None, [])
