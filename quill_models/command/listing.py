"""`quill list`: the stored items by kind."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import click

from quill_models import repositories
from quill_models.command.group import CommandGroup
from quill_models.command.lists import NEWEST_FIRST, SINCE, UNTIL, Lists, day, instant, listed
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

_limit = limit_option(50, "Maximum number of items.")


class _Kinds(CommandGroup):
    """A group that also accepts kinds in the singular and with underscores."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name.replace("_", "-")
        return super().get_command(ctx, name) or super().get_command(ctx, f"{name}s")


@click.group("list", cls=_Kinds)
def list_items() -> None:
    """List stored items.

    Each list is one query by key, so it needs an option such as the team of agents, the agent
    of interactions, or the job of job runs.

    \b
    Examples:
      quill list agents --team north
      quill list interactions --agent ada --newest-first
      quill list job-runs --status failed
    """  # noqa: D301 -- click's mark for "keep these lines"


@list_items.command(params=[SINCE, UNTIL, NEWEST_FIRST])
@click.option("--scope", metavar="SCOPE", help="Scope: agent:ID, team:NAME or global.")
@click.option("--name", metavar="NAME", default="", help="Metric. For --scope and --bucket.")
@click.option(
    "--grain",
    type=click.Choice([grain.value for grain in Grain]),
    default="day",
    show_default=True,
    help="Length of the buckets.",
)
@click.option("--bucket", type=instant, help="Show all scopes in the bucket with this start.")
@click.option("--day", "on", type=day, help="Show all metrics of this UTC day.")
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
    """List metrics by --scope over time, by --bucket for all scopes, or by --day.

    \b
    Examples:
      quill list metrics --scope agent:ada --name calls --since 2026-11-01
      quill list metrics --name calls --grain hour --bucket 2026-11-22T10:00
      quill list metrics --day 2026-11-22 --json
    """  # noqa: D301
    if sum(chosen is not None for chosen in (scope, bucket, on)) != 1:
        raise click.UsageError("Give exactly one of --scope, --bucket and --day.")
    if bool(name) is (on is not None):
        raise click.UsageError("--scope and --bucket require --name, and --day does not allow it.")
    if scope is None and (since is not None or until is not None):
        raise click.UsageError("--since and --until require --scope.")
    try:
        # A typing error would otherwise give an empty list.
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
