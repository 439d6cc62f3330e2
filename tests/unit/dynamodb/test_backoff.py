"""The waits between tries."""

from datetime import timedelta

import pytest

from quill_models.dynamodb.backoff import Backoff

pytestmark = pytest.mark.usefixtures("delays")

SECOND = timedelta(seconds=1)


class Machine:
    """A monotonic clock that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("quill_models.dynamodb.backoff.time.monotonic", lambda: self.now)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_wait_repeated_grows_until_the_deadline(delays: list[float], machine: Machine) -> None:
    backoff = Backoff(60 * SECOND)
    while backoff.wait("Throttled"):
        machine.now += delays[-1]
    assert 57 < sum(delays) <= 60
    assert backoff.tries == len(delays) + 1
    assert max(delays) <= 2
    for at, longest in enumerate((0.05, 0.1, 0.2, 0.4, 0.8, 1.6)):
        assert delays[at] <= longest


def test_wait_tries_longer_than_deadline_allows_two_more(machine: Machine) -> None:
    backoff = Backoff(15 * SECOND)
    for _ in range(2):
        machine.now += 20
        assert backoff.wait("Throttled")
    machine.now += 20
    assert not backoff.wait("Throttled")
    assert backoff.tries == 3


def test_wait_zero_deadline_allows_one_try(delays: list[float], machine: Machine) -> None:
    assert not Backoff(0 * SECOND).wait("Throttled")
    assert delays == []
