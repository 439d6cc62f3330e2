"""The lists of a repository as options of a command."""

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


def test_lists_of_repository_become_options() -> None:
    options = {each.name: (each.metavar, each.nargs, each.help) for each in Lists(Deals).options}
    assert list(options) == ["agent", "stage", "since", "until"]
    assert options["agent"] == ("ID", 1, "Show big deals of this agent.")
    assert options["stage"] == ("PIPELINE STAGE", 2, "Show big deals of this stage.")
    shown = Lists(Deals).help("quill list big-deals")
    assert shown.startswith("List big deals by --agent or --stage.\n")
    assert "  quill list big-deals --agent ID\n" in shown


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "Give --agent or --stage."),
        ({"agent": "a", "stage": ("p", "s")}, "Give only one of --agent or --stage."),
        ({"stage": ("p", "s"), "since": datetime.now(UTC)}, "--since and --until require --agent."),
    ],
)
def test_lists_reader_invalid_options_raises_usage_error(
    chosen: dict[str, Any], message: str
) -> None:
    with pytest.raises(click.UsageError, match=message):
        Lists(Deals).reader(1, **{"agent": None, "stage": None, **chosen})
