"""A bulk call does what the same writes do one after the other."""

import json
import random
from typing import Any

import pytest

from quill_models import Agent, Interaction, Outcome, PartialWriteError, Quill, Settings, connect
from quill_models.writes.results import WriteResult
from tests.local_dynamo.support import NOON, SECOND, botocore_of, interaction
from tests.unit.wire import noticing

A_RESULT = WriteResult(Outcome.CREATED, interaction("another"))
SOURCES, IDS = ("h", "p"), ("1", "2", "3")


def some_agents(chance: random.Random) -> list[Agent]:
    return [
        Agent(
            agent_id=chance.choice("abc"),
            name=chance.choice(["Ada", "Bo"]),
            external_ids={
                source: chance.choice(IDS) for source in SOURCES if chance.random() < 0.7
            },
            source_updated_at=NOON + chance.randrange(3) * SECOND,
        )
        for _ in range(chance.randrange(2, 9))
    ]


def told(results: list[WriteResult[Agent]]) -> list[tuple[Outcome, Agent]]:
    return [(result.outcome, result.item) for result in results]


@pytest.mark.parametrize("seed", range(8))
def test_put_many_equals_single_puts_in_order(quill: Quill, quill_endpoint: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    other = Settings(endpoint=quill_endpoint, table=f"{quill.settings.table}-singly")
    keys_twice: list[Any] = []

    def note(request: Any) -> None:
        keys = [
            str(action.get("Key") or (action["Item"]["pk"], action["Item"]["sk"]))
            for entry in json.loads(request.body).get("TransactItems", [])
            for action in entry.values()
        ]
        if len(set(keys)) < len(keys):
            keys_twice.append(keys)

    with noticing(botocore_of(quill), note), connect(other) as singly:
        singly.schema.apply(stream=False)
        for _ in range(4):
            agents = some_agents(chance)
            many = told(quill.agents.put_many(agents))
            assert many == told([singly.agents.put(agent) for agent in agents])
            for agent_id in "abc":
                assert quill.agents.get(agent_id) == singly.agents.get(agent_id)
            for source in SOURCES:
                for number in IDS:
                    owner = quill.agents.get_by_external_id(source, number)
                    assert owner == singly.agents.get_by_external_id(source, number)
        singly.schema.delete_table()
    assert keys_twice == []


def test_put_many_external_id_conflict_stops_no_other(quill: Quill) -> None:
    def named(key: str, **fields: Any) -> Interaction:
        return interaction(key, **fields)

    quill.interactions.record(named("o", source="s", external_id="1"))
    results = quill.interactions.record_many(
        [named("n1"), named("n2", source="s", external_id="1"), named("n3")]
    )
    assert [result.outcome for result in results] == ["created", "conflict", "created"]


def test_bulk_input_error_items_before_it_are_written(quill: Quill) -> None:
    def endless() -> Any:
        yield from (interaction(str(number)) for number in range(150))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        quill.interactions.record_many(endless())
    assert quill.interactions.list_by_day(NOON.date()).count() == 150


def test_bulk_input_not_a_model_items_before_it_are_written(quill: Quill) -> None:
    given: list[Any] = [*(interaction(str(number)) for number in range(150)), "nonsense"]
    with pytest.raises(AttributeError):
        quill.interactions.record_many(given)
    assert quill.interactions.list_by_day(NOON.date()).count() == 150


def test_bulk_input_from_another_bulk_write_keeps_its_results(quill: Quill) -> None:
    """Its results and its pending ones are models of another kind."""
    error = PartialWriteError("the other one", results=[A_RESULT], pending=["pending"])

    def results_of_another() -> Any:
        yield interaction("1")
        raise error

    with pytest.raises(PartialWriteError) as raised:
        quill.interactions.record_many(results_of_another())
    assert raised.value is error
    assert (raised.value.results, raised.value.pending) == ([A_RESULT], ["pending"])
    assert quill.interactions.get("1") is not None
