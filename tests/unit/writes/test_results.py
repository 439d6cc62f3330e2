from __future__ import annotations

import dataclasses

import pytest

from quill_models import Outcome, WriteResult
from tests.unit.examples import agent


def test_outcome_values_are_those_of_the_contract() -> None:
    assert [outcome.value for outcome in Outcome] == [
        "created",
        "updated",
        "unchanged",
        "duplicate",
        "conflict",
        "stale",
    ]


@pytest.mark.parametrize("outcome", Outcome)
def test_outcome_is_its_text(outcome: Outcome) -> None:
    assert outcome == outcome.value
    assert f"{outcome}" == outcome.value
    assert Outcome(outcome.value) is outcome


@pytest.mark.parametrize("outcome", Outcome)
def test_created_is_true_for_created_only(outcome: Outcome) -> None:
    assert WriteResult(outcome, agent()).created == (outcome == "created")


def test_write_result_is_a_value() -> None:
    result = WriteResult(Outcome.CREATED, agent())
    assert result == WriteResult(Outcome.CREATED, agent())
    assert result != WriteResult(Outcome.UPDATED, agent())
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.outcome = Outcome.STALE  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
