"""State machines of two clients on one table, each with its own clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from quill_models import Quill, Settings, connect
from quill_models.testing import FrozenClock
from tests.local_dynamo.support import NOON

Clients = list[tuple[Quill, FrozenClock]]


@contextmanager
def two_clients(given: Settings) -> Iterator[Clients]:
    clocks = FrozenClock(NOON), FrozenClock(NOON)
    with connect(given, clock=clocks[0]) as one, connect(given, clock=clocks[1]) as other:
        yield [(one, clocks[0]), (other, clocks[1])]


def run_machine(machine: type[RuleBasedStateMachine], *, soak: bool) -> None:
    """Search for steps that fail the machine."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100 if soak else 4,
            stateful_step_count=50 if soak else 20,
            deadline=None,
            # Each example sends many requests.
            suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType]
        ),
    )
