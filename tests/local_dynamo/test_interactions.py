"""Interactions: facts, edits, external ids, lists and ranges."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from quill_models import Agent, Interaction, Outcome, Quill
from quill_models.errors import InvalidPayload, InvalidValue
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
    stored,
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
    def test_created(self, quill: Quill) -> None:
        result = quill.interactions.record(call())
        assert (result.outcome, result.created) == (CREATED, True)
        assert result.item == call()
        assert (result.item.created_at, result.item.ttl) == (NOON, None)
        assert is_as_stored(quill, result.item)
        assert quill.interactions.get("i1") == call()

    def test_duplicate(self, quill: Quill, quill_clock: FrozenClock) -> None:
        quill.interactions.record(call())
        quill_clock.tick(SECOND)
        result = quill.interactions.record(call())
        assert (result.outcome, result.created) == (DUPLICATE, False)
        assert result.item.created_at == NOON
        assert is_as_stored(quill, result.item)

    def test_conflict_of_content(self, quill: Quill) -> None:
        quill.interactions.record(call())
        result = quill.interactions.record(call(subject="other"))
        assert result.outcome is CONFLICT
        assert result.item == call()
        assert is_as_stored(quill, result.item)

    def test_a_newer_edit_is_no_reason_to_overwrite(self, quill: Quill) -> None:
        quill.interactions.record(call())
        later = call(subject="B", source_updated_at=NOON + HOUR)
        assert quill.interactions.record(later).outcome is CONFLICT
        assert quill.interactions.get("i1") == call()

    def test_conflict_of_external_id(self, quill: Quill) -> None:
        quill.interactions.record(call())
        result = quill.interactions.record(call("i2", external_id="x-i1"))
        assert (result.outcome, result.item) == (CONFLICT, call())
        assert is_as_stored(quill, result.item)
        assert quill.interactions.get("i2") is None

    def test_the_same_external_id_of_another_source(self, quill: Quill) -> None:
        quill.interactions.record(call())
        other = call("i2", external_id="x-i1", source="phone")
        assert quill.interactions.record(other).outcome is CREATED
        assert quill.interactions.get_by_external_id("phone", "x-i1") == other
        assert quill.interactions.get_by_external_id("hubspot", "x-i1") == call()

    def test_many(self, quill: Quill) -> None:
        quill.interactions.record_many(call(str(n)) for n in range(0, 150, 2))
        new = [call(str(n)) if n % 4 else call(str(n), subject="B") for n in range(150)]
        results = quill.interactions.record_many(new)
        assert ids(result.item for result in results) == [str(n) for n in range(150)]
        expected = [CONFLICT, CREATED, DUPLICATE, CREATED]
        assert [result.outcome for result in results] == (expected * 38)[:150]

    def test_repeats_within_one_call(self, quill: Quill) -> None:
        results = quill.interactions.record_many(
            [call(), call(), call(subject="B"), call("i2", external_id="x-i1"), call("i3")] * 8
        )
        once = [DUPLICATE, DUPLICATE, CONFLICT, CONFLICT, DUPLICATE]
        first = [CREATED, DUPLICATE, CONFLICT, CONFLICT, CREATED]
        assert [result.outcome for result in results] == first + once * 7

    def test_endless(self, quill: Quill) -> None:
        taken = 0

        def endless() -> Any:
            nonlocal taken
            while True:
                taken += 1
                yield interaction(str(taken))

        results = list(islice(quill.interactions.iter_record_many(endless()), 250))
        assert {result.outcome for result in results} == {CREATED}
        assert taken <= 700

    def test_lost_answers(self, behind_proxy: Quill, proxy: Proxy) -> None:
        proxy.lose("TransactWriteItems", times=2)
        assert behind_proxy.interactions.record(call()).created
        proxy.lose("PutItem")
        assert behind_proxy.interactions.record(interaction("plain")).created
        proxy.lose("TransactWriteItems")
        assert all(
            result.created
            for result in behind_proxy.interactions.record_many(call(str(n)) for n in range(60))
        )

    def test_more_than_400_kilobytes(self, quill: Quill) -> None:
        with on_the_wire(quill) as sent:
            for write in (quill.interactions.record, quill.interactions.put):
                with pytest.raises(InvalidPayload, match="400 KB"):
                    write(call(attributes={"text": "ü" * 210 * 1024}))
        assert not {"PutItem", "TransactWriteItems"} & set(sent)


class TestPut:
    def test_every_outcome(self, quill: Quill, quill_clock: FrozenClock) -> None:
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

    def test_many(self, quill: Quill) -> None:
        quill.interactions.put_many(call(str(n)) for n in range(90))
        changes: list[dict[str, Any]] = [
            {},
            {"subject": "B"},
            {"subject": "B", "source_updated_at": NOON - DAY},
        ]
        results = quill.interactions.put_many(call(str(n), **changes[n % 3]) for n in range(120))
        assert [result.outcome for result in results] == [UNCHANGED, UPDATED, STALE] * 30 + [
            CREATED
        ] * 30
        assert all(is_as_stored(quill, result.item) for result in results[::7])

    def test_attributes_of_a_newer_version_survive(self, quill: Quill) -> None:
        quill.interactions.put(call())
        raw = stored(quill, call().key())
        assert raw is not None
        store(quill, {**raw, "sentiment": {"N": "0.5"}})
        quill.interactions.put(call(subject="B"))
        after = stored(quill, call().key())
        assert after is not None
        assert (after["sentiment"], after["subject"]) == ({"N": "0.5"}, {"S": "B"})

    @pytest.mark.parametrize("many", [False, True])
    def test_an_edit_moves_it_between_lists(self, quill: Quill, many: bool) -> None:
        lists = quill.interactions
        days = [date(2031, 5, 17), date(2031, 5, 18)]

        def put(**fields: Any) -> Outcome:
            if many:
                (result,) = lists.put_many([call(**fields)])
                return result.outcome
            return lists.put(call(**fields)).outcome

        def where() -> list[str]:
            found = {
                **{name: lists.list_by_agent(name) for name in ("ada", "bea")},
                **{name: lists.list_by_contact(name) for name in ("77", "78")},
                **{str(day): lists.list_by_day(day) for day in days},
            }
            return [name for name, query in found.items() if ids(query) == ["i1"]]

        put()
        assert where() == ["ada", "77", "2031-05-17"]
        assert put(agent_id="bea") is UPDATED
        assert where() == ["bea", "77", "2031-05-17"]
        put(agent_id="bea", contact_id="78")
        assert where() == ["bea", "78", "2031-05-17"]
        put(agent_id="bea", contact_id="78", started_at=NOON + DAY)
        assert where() == ["bea", "78", "2031-05-18"]
        assert ids(lists.list_by_agent("bea", until=NOON + DAY)) == []
        assert ids(lists.list_by_contact("78", since=NOON + DAY)) == ["i1"]
        put(agent_id=None, contact_id=None)
        assert where() == ["2031-05-17"]
        put()
        assert where() == ["ada", "77", "2031-05-17"]


class TestExternalId:
    def test_found_in_one_request(self, quill: Quill) -> None:
        quill.interactions.put(call())
        with on_the_wire(quill) as sent:
            assert quill.interactions.get_by_external_id("hubspot", "x-i1") == call()
            assert quill.interactions.get("i1") == call()
        assert sent == ["GetItem", "GetItem"]

    def test_the_copy_follows_every_edit(self, quill: Quill) -> None:
        quill.interactions.put(call())
        quill.interactions.put(call(subject="B"))
        quill.interactions.put_many([call(subject="C")])
        assert quill.interactions.get_by_external_id("hubspot", "x-i1") == call(subject="C")

    def test_given_up_and_taken_by_another(self, quill: Quill) -> None:
        quill.interactions.put(call())
        assert quill.interactions.put(call(external_id="new")).outcome is UPDATED
        assert quill.interactions.get_by_external_id("hubspot", "x-i1") is None
        assert quill.interactions.put(call("i2", external_id="x-i1")).outcome is CREATED
        assert quill.interactions.put(call()).outcome is CONFLICT

    def test_any_text(self, quill: Quill) -> None:
        quill.interactions.put(call("1", source="a", external_id="b#c"))
        quill.interactions.put(call("2", source="a#b", external_id="c"))
        found = quill.interactions.get_by_external_id
        assert ids([found("a", "b#c"), found("a#b", "c")]) == ["1", "2"]

    def test_moved_within_one_call(self, quill: Quill) -> None:
        quill.interactions.put(call())
        results = quill.interactions.put_many(
            [call(external_id=None), call("i2", external_id="x-i1")]
        )
        assert [result.outcome for result in results] == [UPDATED, CREATED]


class TestDelete:
    def test_gone_from_everywhere(self, quill: Quill) -> None:
        quill.interactions.put(call())
        quill.interactions.delete("i1")
        assert quill.interactions.get("i1") is None
        assert quill.interactions.get_by_external_id("hubspot", "x-i1") is None
        assert ids(quill.interactions.list_by_agent("ada")) == []
        assert ids(quill.interactions.list_by_day(NOON.date())) == []
        quill.interactions.delete("i1")
        assert quill.interactions.put(call("i2", external_id="x-i1")).outcome is CREATED
        assert quill.interactions.record(call(external_id=None)).outcome is CREATED

    def test_an_answer_that_was_lost(self, behind_proxy: Quill, proxy: Proxy) -> None:
        for key, each in (("i1", call()), ("plain", interaction("plain"))):
            behind_proxy.interactions.put(each)
            proxy.lose("TransactWriteItems")
            proxy.lose("DeleteItem")
            behind_proxy.interactions.delete(key)
            assert behind_proxy.interactions.get(key) is None

    def test_one_saved_by_pynamodb_whose_external_id_is_anothers(self, quill: Quill) -> None:
        quill.interactions.put(call())
        other = call("i2", external_id="x-i1")
        with pytest.raises(InvalidValue, match="Use the repository"):
            other.save()
        store(quill, other.to_item(1))
        quill.interactions.delete("i2")
        assert quill.interactions.get("i2") is None
        assert quill.interactions.get_by_external_id("hubspot", "x-i1") == call()


class TestLists:
    def test_order_and_ranges(self, quill: Quill) -> None:
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

    def test_naive_times_are_refused(self, quill: Quill) -> None:
        naive = datetime(2031, 5, 17)  # noqa: DTZ001
        for end in ("since", "until"):
            options: dict[str, Any] = {end: naive}
            with pytest.raises(InvalidValue, match="time zone"):
                quill.interactions.list_by_agent("ada", **options)
            with pytest.raises(InvalidValue, match="time zone"):
                quill.interactions.list_by_contact("77", **options)

    def test_equal_times_are_ordered_by_id(self, quill: Quill) -> None:
        keys = ["b", "a#1", "a", "ü", "a 1"]
        quill.interactions.put_many(call(key, external_id=None) for key in keys)
        expected = ["a", "a 1", "a#1", "b", "ü"]
        assert ids(quill.interactions.list_by_agent("ada")) == expected
        assert ids(quill.interactions.list_by_day(NOON.date())) == expected

    def test_a_day_is_of_utc_and_of_all_agents(self, quill: Quill) -> None:
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
                by_day(wrong)  # type: ignore[arg-type]

    def test_a_day_is_merged_from_its_shards(self, quill: Quill) -> None:
        many = [
            interaction(f"{number:03d}", started_at=NOON + number * SECOND) for number in range(100)
        ]
        quill.interactions.record_many(reversed(many))
        assert list(quill.interactions.list_by_day(NOON.date())) == many
        assert list(quill.interactions.list_by_day(NOON.date(), newest_first=True)) == many[::-1]

    def test_an_agents_profile_is_not_among_its_interactions(self, quill: Quill) -> None:
        quill.agents.put(Agent(agent_id="ada"))
        quill.interactions.put_many([call("1"), call("2", started_at=NOON + HOUR)])
        assert ids(quill.interactions.list_by_agent("ada")) == ["1", "2"]
        assert ids(quill.interactions.list_by_agent("ada", since=NOON + SECOND)) == ["2"]
        assert quill.interactions.list_by_agent("ada").count() == 2
        with on_the_wire(quill) as sent:
            agent, latest = quill.agents.get_with_interactions("ada", limit=1)
        assert (agent, ids(latest), sent) == (Agent(agent_id="ada"), ["2"], ["Query"])
        assert quill.agents.get_with_interactions("nobody") == (None, [])

    def test_ids_that_begin_alike(self, quill: Quill) -> None:
        quill.interactions.put_many(
            interaction(key, agent_id=key, contact_id=key) for key in ("1", "10", "1#0", "1 ")
        )
        for key in ("1", "10", "1#0", "1 "):
            assert ids(quill.interactions.list_by_agent(key)) == [key]
            assert ids(quill.interactions.list_by_contact(key)) == [key]
