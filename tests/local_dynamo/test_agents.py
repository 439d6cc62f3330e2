"""Agents: outcomes, external ids, lists."""

from itertools import count, islice
from typing import Any

import pytest

from quill_models import Agent, Outcome, Quill
from quill_models.errors import InvalidPayload, InvalidValue
from quill_models.testing import FrozenClock
from tests.local_dynamo import tables
from tests.local_dynamo.proxy import Proxy
from tests.local_dynamo.support import (
    DAY,
    HOUR,
    NOON,
    SECOND,
    is_as_stored,
    on_the_wire,
    store,
    stored,
)

CREATED, UPDATED, UNCHANGED = Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED
STALE, CONFLICT = Outcome.STALE, Outcome.CONFLICT

quill = tables.emptied


def ada(**fields: Any) -> Agent:
    given: dict[str, Any] = {
        "agent_id": "ada",
        "name": "Ada",
        "team": "north",
        "external_ids": {"hubspot": "1184062"},
        "source_updated_at": NOON,
        **fields,
    }
    return Agent(**given)


def ids(agents: Any) -> list[str]:
    return [agent.agent_id for agent in agents]


class TestPut:
    @pytest.mark.usefixtures("quill_clock")
    def test_put_new_agent_returns_created(self, quill: Quill) -> None:
        result = quill.agents.put(ada())
        assert (result.outcome, result.created) == (CREATED, True)
        assert result.item == ada()
        assert (result.item.created_at, result.item.updated_at) == (NOON, NOON)
        assert result.item.ttl is None
        assert is_as_stored(quill, result.item)
        assert quill.agents.get("ada") == ada()

    def test_put_same_content_returns_unchanged_without_a_write(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.agents.put(ada())
        before = stored(quill, ada().key())
        quill_clock.tick(SECOND)
        with on_the_wire(quill) as sent:
            result = quill.agents.put(ada())
        assert (result.outcome, result.created) == (UNCHANGED, False)
        assert result.item.updated_at == NOON
        assert stored(quill, ada().key()) == before
        assert is_as_stored(quill, result.item)
        assert sent == ["TransactWriteItems"]

    def test_put_changed_agent_returns_updated(
        self, quill: Quill, quill_clock: FrozenClock
    ) -> None:
        quill.agents.put(ada())
        quill_clock.tick(HOUR)
        newer = ada(name="Ada L.", source_updated_at=NOON + HOUR)
        result = quill.agents.put(newer)
        assert result.outcome is UPDATED
        assert result.item == newer
        assert (result.item.created_at, result.item.updated_at) == (NOON, NOON + HOUR)
        assert is_as_stored(quill, result.item)

    @pytest.mark.usefixtures("quill_clock")
    def test_put_older_version_returns_stale(self, quill: Quill) -> None:
        quill.agents.put(ada())
        result = quill.agents.put(ada(name="before", source_updated_at=NOON - HOUR))
        assert result.outcome is STALE
        assert result.item == ada()
        assert is_as_stored(quill, result.item)
        assert quill.agents.get("ada") == ada()

    @pytest.mark.parametrize(("first", "second"), [(None, NOON), (NOON, None), (NOON, NOON)])
    def test_put_without_version_time_counts_as_newer(
        self, quill: Quill, first: Any, second: Any
    ) -> None:
        quill.agents.put(ada(source_updated_at=first))
        assert quill.agents.put(ada(name="B", source_updated_at=second)).outcome is UPDATED

    def test_put_does_not_change_the_model_of_the_caller(self, quill: Quill) -> None:
        agent = ada()
        quill.agents.put(agent)
        assert (agent.created_at, agent.write_token) == (None, None)

    def test_put_costs_one_request_and_two_for_a_change(self, quill: Quill) -> None:
        quill.agents.put(ada(agent_id="other", external_ids={}))
        with on_the_wire(quill) as sent:
            quill.agents.put(ada(external_ids={}))
            assert sent == ["PutItem"]
            quill.agents.put(ada(external_ids={}))
            assert sent == ["PutItem"] * 2
            quill.agents.put(ada(external_ids={}, name="B"))
            assert sent == ["PutItem"] * 4

    def test_put_keeps_attributes_of_a_newer_version(self, quill: Quill) -> None:
        quill.agents.put(ada())
        raw = stored(quill, ada().key())
        assert raw is not None
        store(quill, {**raw, "pronouns": {"S": "she"}, "tags": {"SS": ["a"]}})
        result = quill.agents.put(ada(name="Ada L."))
        assert result.outcome is UPDATED
        after = stored(quill, ada().key())
        assert after is not None
        assert (after["pronouns"], after["tags"]) == ({"S": "she"}, {"SS": ["a"]})
        assert is_as_stored(quill, result.item)

    def test_put_replaces_item_without_token(self, quill: Quill) -> None:
        quill.agents.put(ada())
        raw = stored(quill, ada().key())
        assert raw is not None
        del raw["write_token"]
        store(quill, raw)
        assert quill.agents.put(ada()).outcome is UNCHANGED
        assert quill.agents.put(ada(name="B")).outcome is UPDATED

    def test_put_over_400_kb_raises_before_any_request(self, quill: Quill) -> None:
        quill.agents.put(ada())
        with on_the_wire(quill) as sent:
            with pytest.raises(InvalidPayload, match="400 KB"):
                quill.agents.put(ada(email="x" * 400 * 1024))
            with pytest.raises(InvalidPayload, match="400 KB"):
                quill.agents.put_many([ada(email="x" * 400 * 1024), ada(name="B")])
        assert sent == []
        assert quill.agents.get("ada") == ada()
        with pytest.raises(InvalidPayload, match="400 KB"):
            quill.agents.put_many([ada(name="B"), ada(email="x" * 400 * 1024), ada(name="C")])
        assert quill.agents.get("ada") == ada(name="B")

    def test_put_lost_response_returns_the_first_outcome(
        self, behind_proxy: Quill, proxy: Proxy
    ) -> None:
        proxy.lose("TransactWriteItems")
        assert behind_proxy.agents.put(ada()).outcome is CREATED
        proxy.lose("PutItem")
        assert behind_proxy.agents.put(Agent(agent_id="b")).outcome is CREATED
        proxy.lose("PutItem", times=2)
        result = behind_proxy.agents.put(Agent(agent_id="b", name="B"))
        assert result.outcome is UPDATED
        assert is_as_stored(behind_proxy, result.item)


class TestExternalIds:
    def test_get_by_external_id_finds_each_id(self, quill: Quill) -> None:
        agent = ada(external_ids={"hubspot": "1", "phone": "501"})
        quill.agents.put(agent)
        with on_the_wire(quill) as sent:
            assert quill.agents.get_by_external_id("hubspot", "1") == agent
            assert quill.agents.get_by_external_id("phone", "501") == agent
            assert quill.agents.get_by_external_id("phone", "1") is None
        assert sent == ["GetItem"] * 3

    def test_get_by_external_id_follows_changes_of_the_agent(self, quill: Quill) -> None:
        quill.agents.put(ada())
        quill.agents.put(ada(name="B", team=None))
        assert quill.agents.get_by_external_id("hubspot", "1184062") == ada(name="B", team=None)

    def test_put_external_id_of_other_agent_returns_conflict(self, quill: Quill) -> None:
        owner = quill.agents.put(ada()).item
        for intruder in (ada(agent_id="bea"), ada(agent_id="bea", name="B")):
            result = quill.agents.put(intruder)
            assert result.outcome is CONFLICT
            assert result.item == owner
            assert is_as_stored(quill, result.item)
        assert quill.agents.get("bea") is None
        assert quill.agents.get_by_external_id("hubspot", "1184062") == owner

    def test_put_conflict_leaves_the_stored_agent_unchanged(self, quill: Quill) -> None:
        quill.agents.put(ada())
        bea = quill.agents.put(ada(agent_id="bea", external_ids={"phone": "2"})).item
        result = quill.agents.put(ada(agent_id="bea", name="B"))
        assert (result.outcome, result.item) == (CONFLICT, ada())
        assert quill.agents.get("bea") == bea
        assert quill.agents.get_by_external_id("phone", "2") == bea

    def test_put_without_external_id_releases_it(self, quill: Quill) -> None:
        quill.agents.put(ada())
        assert quill.agents.put(ada(external_ids={})).outcome is UPDATED
        assert quill.agents.get_by_external_id("hubspot", "1184062") is None
        assert quill.agents.put(ada(agent_id="bea")).outcome is CREATED
        assert quill.agents.get_by_external_id("hubspot", "1184062") == ada(agent_id="bea")
        assert quill.agents.put(ada(name="A")).outcome is CONFLICT

    def test_put_other_external_id_moves_the_claim(self, quill: Quill) -> None:
        quill.agents.put(ada(external_ids={"hubspot": "1", "phone": "5"}))
        quill.agents.put(ada(external_ids={"hubspot": "2", "phone": "5"}))
        assert quill.agents.get_by_external_id("hubspot", "1") is None
        assert ids([quill.agents.get_by_external_id("hubspot", "2")]) == ["ada"]
        assert ids([quill.agents.get_by_external_id("phone", "5")]) == ["ada"]

    def test_put_many_moves_external_id_between_agents(self, quill: Quill) -> None:
        """As one after the other: the first gives it up, so that the second may have it."""
        quill.agents.put_many([ada(), ada(agent_id="bea", external_ids={})])
        moved = [ada(external_ids={}), ada(agent_id="bea")]
        assert [result.outcome for result in quill.agents.put_many(moved)] == [UPDATED, UPDATED]
        assert ids([quill.agents.get_by_external_id("hubspot", "1184062")]) == ["bea"]

    @pytest.mark.parametrize("external_id", ["\ud800", "x" * 3000])
    def test_put_invalid_external_id_raises(self, quill: Quill, external_id: str) -> None:
        with on_the_wire(quill) as sent, pytest.raises(InvalidValue):
            quill.agents.put(Agent(agent_id="a", external_ids={"hubspot": external_id}))
        assert "PutItem" not in sent
        assert "TransactWriteItems" not in sent


class TestLists:
    def test_list_is_ordered_by_name_then_id(self, quill: Quill) -> None:
        agents = [
            Agent(agent_id="3", name="Bob", team="t"),
            Agent(agent_id="2", name="Bob", team="t"),
            Agent(agent_id="1", name="Bo", team="t"),
            Agent(agent_id="4", name="Åsa", team="t"),
            Agent(agent_id="Ann", team="t"),
            Agent(agent_id="5", name="Bo b", team="t"),
            Agent(agent_id="6", name="Bo#b", team="t"),
        ]
        quill.agents.put_many(agents)
        expected = ["Ann", "1", "5", "6", "2", "3", "4"]
        assert ids(quill.agents.list_by_team("t")) == expected
        assert ids(quill.agents.list_by_status("active")) == expected
        quill.agents.put(Agent(agent_id="1", name="Zoe", team="t"))
        assert ids(quill.agents.list_by_team("t"))[-2:] == ["1", "4"]

    def test_list_name_longer_than_a_key_is_listed(self, quill: Quill) -> None:
        names = ["é" * 1500, "é" * 1500 + "z"]
        for number, name in enumerate(names):
            quill.agents.put(Agent(agent_id=str(number), name=name, team="t"))
        listed = list(quill.agents.list_by_team("t"))
        assert sorted(ids(listed)) == ["0", "1"]
        page = quill.agents.list_by_team("t").page(limit=1)
        rest = quill.agents.list_by_team("t").page(limit=5, cursor=page.cursor)
        assert [*page.items, *rest.items] == listed

    def test_list_by_status_unknown_status_raises(self, quill: Quill) -> None:
        with pytest.raises(ValueError, match="gone"):
            quill.agents.list_by_status("gone")


class TestMany:
    def test_put_many_returns_results_in_input_order(self, quill: Quill) -> None:
        quill.agents.put_many([Agent(agent_id=str(n), source_updated_at=NOON) for n in range(120)])

        changes: list[dict[str, Any]] = [
            {},
            {"name": "B"},
            {"name": "B", "source_updated_at": NOON - DAY},
        ]

        def second(number: int) -> Agent:
            given: dict[str, Any] = {"agent_id": str(number), "source_updated_at": NOON}
            return Agent(**{**given, **changes[number % 3]})

        results = quill.agents.put_many(second(number) for number in range(150))
        assert ids(result.item for result in results) == [str(number) for number in range(150)]
        first = [UNCHANGED, UPDATED, STALE] * 40
        assert [result.outcome for result in results] == first + [CREATED] * 30
        assert all(is_as_stored(quill, result.item) for result in results[::10])

    def test_put_many_repeats_behave_like_repeated_calls(self, quill: Quill) -> None:
        changes = [ada(), ada(), ada(name="B"), ada(source_updated_at=NOON - DAY), ada(name="B")]
        results = quill.agents.put_many(changes)
        assert [result.outcome for result in results] == [
            CREATED,
            UNCHANGED,
            UPDATED,
            STALE,
            UNCHANGED,
        ]
        assert [result.item.name for result in results] == ["Ada", "Ada", "B", "B", "B"]

    @pytest.mark.parametrize("repeats", [20, 100])
    def test_put_many_one_agent_many_times(self, quill: Quill, repeats: int) -> None:
        results = quill.agents.put_many(
            Agent(agent_id="a", name=str(number)) for number in range(repeats)
        )
        assert [result.outcome for result in results] == [CREATED] + [UPDATED] * (repeats - 1)
        assert [result.item.name for result in results] == [str(each) for each in range(repeats)]

    def test_put_many_external_id_wanted_by_several(self, quill: Quill) -> None:
        results = quill.agents.put_many([ada(), ada(agent_id="bea"), ada(agent_id="cy")])
        assert [result.outcome for result in results] == [CREATED, CONFLICT, CONFLICT]
        assert ids(result.item for result in results) == ["ada"] * 3

    def test_iter_put_many_takes_endless_input_as_needed(self, quill: Quill) -> None:
        taken = count()
        endless = (Agent(agent_id=str(number)) for number in taken)
        results = quill.agents.iter_put_many(endless)
        assert next(taken) == 0
        first = list(islice(results, 250))
        assert ids(result.item for result in first) == [str(number) for number in range(1, 251)]
        assert next(taken) <= 1 + 400

    def test_put_many_claims_fill_transactions(self, quill: Quill) -> None:
        """Each of a hundred agents takes four actions; a transaction holds a hundred."""
        agents = [
            Agent(agent_id=str(n), external_ids={source: str(n) for source in "abc"})
            for n in range(100)
        ]
        quill.agents.list_by_team("").count()
        quill.agents.put(Agent(agent_id="first"))
        with on_the_wire(quill) as sent:
            results = quill.agents.put_many(agents)
        assert {result.outcome for result in results} == {CREATED}
        assert sent == ["TransactWriteItems"] * 4
        assert quill.agents.get_by_external_id("c", "99") == agents[99]
