"""Random calls by several clients, compared with a model of the table."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.local_dynamo.stateful.agents import AgentsMachine
from tests.local_dynamo.stateful.calls import Call
from tests.local_dynamo.stateful.environment import Environment, open_environment
from tests.local_dynamo.stateful.events import EventsMachine
from tests.local_dynamo.stateful.machine import TableMachine, run
from tests.local_dynamo.stateful.metrics import MetricsMachine
from tests.local_dynamo.stateful.store import StoreMachine
from tests.local_dynamo.support import NOON

MACHINES = [StoreMachine, EventsMachine, AgentsMachine, MetricsMachine]


@pytest.fixture(scope="module")
def environment(quill_endpoint: str) -> Iterator[Environment]:
    with open_environment(quill_endpoint) as environment:
        yield environment


@pytest.mark.soak
@pytest.mark.parametrize("machine", MACHINES)
def test_table_random_calls_match_model(
    environment: Environment, soak: bool, machine: type[TableMachine]
) -> None:
    examples, steps = (150, 50) if soak else (3, 25)
    run(machine, environment, examples=examples, steps=steps)


def test_machine_put_retried_after_add_is_explained(environment: Environment) -> None:
    # The retry of the first put returns the row that the add left; the second put replaces it.
    bucket = {"scope": "global", "name": "calls", "grain": "hour"}
    put = {"bucket_start": NOON, "value": 1, "unit": None, "dimensions": {}, "computed_at": None}
    add = {"event_key": "e1", "at": NOON + timedelta(seconds=1), "amount": 1}
    puts = Call("metrics", "put", (bucket | put, bucket | put), bulk=True)
    MetricsMachine.environment = environment
    machine = MetricsMachine()
    machine.begin(2)
    # The client caches the number of shards, so that its next request is the write.
    machine.call_with_lost_responses(
        Call("metrics", "put", (bucket | put | {"scope": "agent:1"},)), []
    )
    concurrent = (puts, Call("metrics", "add", (bucket | add,)))
    machine.call_with_concurrent_call(concurrent, [True], before=2)
    machine.teardown()
