"""Random calls by several clients do what a plain model of the package says they do."""

from collections.abc import Iterator

import pytest

from tests.local_dynamo.stateful.bench import Bench, open_bench
from tests.local_dynamo.stateful.events import EventsMachine
from tests.local_dynamo.stateful.machine import TableMachine, run
from tests.local_dynamo.stateful.metrics import MetricsMachine
from tests.local_dynamo.stateful.people import PeopleMachine
from tests.local_dynamo.stateful.store import StoreMachine

MACHINES = [StoreMachine, EventsMachine, PeopleMachine, MetricsMachine]


@pytest.fixture(scope="module")
def bench(quill_endpoint: str) -> Iterator[Bench]:
    with open_bench(quill_endpoint) as bench:
        yield bench


@pytest.mark.soak
@pytest.mark.parametrize("machine", MACHINES)
def test_the_table_is_that_of_the_plain_model(
    bench: Bench, soak: bool, machine: type[TableMachine]
) -> None:
    examples = 150 if soak else 3
    run(machine, bench, examples=examples, steps=50 if soak else 25)
