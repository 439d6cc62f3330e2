"""`quill list`: what is in the table, kind by kind."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import click

from quill_models import repositories
from quill_models.command.group import CommandGroup
from quill_models.command.lists import NEWEST_FIRST, SINCE, UNTIL, Lists, day, listed, time
from quill_models.command.output import json_option, limit_option
from quill_models.command.overview import present
from quill_models.models import Grain, Metric
from quill_models.models.metric import check_bucket, check_scope
from quill_models.quill import Quill
from quill_models.reads.query import Query
from quill_models.repositories.repository import Repository
from quill_models.values.clock import aware_utc
from quill_models.values.errors import InvalidValue

__all__ = ["list_items"]

_limit = limit_option(50, "How many at most.")


class _Kinds(CommandGroup):
    """Takes a kind in the singular and with underscores, too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name.replace("_", "-")
        return super().get_command(ctx, name) or super().get_command(ctx, f"{name}s")


@click.group("list", cls=_Kinds)
def list_items() -> None:
    """List what is in the table.

    DynamoDB answers by key, so that each list says whose: a team's agents, an agent's
    interactions, a job's runs.

    \b
    Examples:
      quill list agents --team north
      quill list interactions --agent ada --newest-first
      quill list job-runs --status failed
    """  # noqa: D301 -- click's mark for "keep these lines"


@list_items.command(params=[SINCE, UNTIL, NEWEST_FIRST])
@click.option("--scope", help="agent:ID, team:NAME or global.")
@click.option("--name", default="", help="The metric; with --scope or --bucket.")
@click.option(
    "--grain",
    type=click.Choice([grain.value for grain in Grain]),
    default="day",
    show_default=True,
    help="How long a bucket is.",
)
@click.option("--bucket", type=time, help="Every scope's value in the bucket that starts here.")
@click.option("--day", "on", type=day, help="All whose bucket starts on this UTC day.")
@_limit
@json_option
def metrics(
    *,
    scope: str | None,
    name: str,
    grain: str,
    bucket: datetime | None,
    on: date | None,
    limit: int,
    since: datetime | None,
    until: datetime | None,
    newest_first: bool,
) -> None:
    """A metric over time (--scope), in one bucket for every scope (--bucket), or all of a --day.

    \b
    Examples:
      quill list metrics --scope agent:ada --name calls --since 2026-11-01
      quill list metrics --name calls --grain hour --bucket 2026-11-22T10:00
      quill list metrics --day 2026-11-22 --json
    """  # noqa: D301
    if sum(chosen is not None for chosen in (scope, bucket, on)) != 1:
        raise click.UsageError("Give one of --scope, --bucket and --day.")
    if bool(name) is (on is not None):
        raise click.UsageError("--name goes with --scope and --bucket, and not with --day.")
    if scope is None and (since is not None or until is not None):
        raise click.UsageError("--since and --until go with --scope.")
    try:
        # Else a slip would look as if there were no metrics.
        if scope is not None:
            check_scope(scope)
        if bucket is not None:
            check_bucket(Grain(grain), aware_utc(bucket, "bucket_start"))
    except InvalidValue as wrong:
        raise click.UsageError(f"{wrong}.") from wrong

    def query(quill: Quill) -> Query[Metric]:
        if on is not None:
            return quill.metrics.list_by_day(on, newest_first=newest_first)
        if bucket is not None:
            return quill.metrics.across(name, grain, bucket)
        return quill.metrics.series(
            scope or "", name, grain, since, until, newest_first=newest_first
        )

    present(lambda quill: listed("No metrics.", [query(quill)], Metric, limit))


def _add(lists: Lists) -> None:
    name = lists.name.replace("_", "-")

    @list_items.command(name, params=[*lists.options], help=lists.help(f"quill list {name}"))
    @_limit
    @json_option
    def show(*, limit: int, **chosen: Any) -> None:
        present(lists.reader(limit, **chosen))


for each in (getattr(repositories, name) for name in repositories.__all__):
    if issubclass(each, Repository) and each.OPERATIONS not in list_items.commands:
        _add(Lists(each))
