"""The lists of a repository as a command: of those that there are, and of a new one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
import pytest

from quill_models import Agent
from quill_models.command.lists import Lists
from quill_models.reads.query import Query
from quill_models.repositories.repository import Puts


class Deals(Puts[Agent]):
    MODEL = Agent
    OPERATIONS = "big_deals"

    def list_by_agent(
        self, agent_id: str, since: datetime | None = None, until: datetime | None = None
    ) -> Query[Agent]:
        """D1: the deals of an agent by close. One request a page."""
        raise NotImplementedError

    def list_by_stage(self, pipeline: str, stage: str) -> Query[Agent]:
        """By close."""
        raise NotImplementedError


def test_each_list_of_a_repository_is_an_option() -> None:
    options = {each.name: (each.metavar, each.nargs, each.help) for each in Lists(Deals).options}
    assert list(options) == ["agent", "stage", "since", "until"]
    assert options["agent"] == ("ID", 1, "The deals of an agent by close.")
    assert options["stage"] == ("PIPELINE STAGE", 2, "By close.")
    shown = Lists(Deals).help("quill list big-deals")
    assert shown.startswith("List big deals by --agent or --stage.\n")
    assert "  quill list big-deals --agent ID\n" in shown


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({}, "Give --agent or --stage."),
        ({"agent": "a", "stage": ("p", "s")}, "Give --agent or --stage, not several of them."),
        ({"stage": ("p", "s"), "since": datetime.now(UTC)}, "--since and --until go with --agent."),
    ],
)
def test_a_list_that_there_is_not(chosen: dict[str, Any], says: str) -> None:
    with pytest.raises(click.UsageError, match=says):
        Lists(Deals).reader(1, **{"agent": None, "stage": None, **chosen})
