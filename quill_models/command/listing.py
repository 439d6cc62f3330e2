"""`quill list`: what is in the table, kind by kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from typing import Any

import click

from quill_models import hubspot
from quill_models.command.group import CommandGroup
from quill_models.command.output import json_option, limit_option, print_json, show_table
from quill_models.models import AgentStatus, EventStatus, Grain, JobStatus, QuillModel
from quill_models.models.json_form import to_json
from quill_models.models.metric import check_bucket, check_scope
from quill_models.quill import connect
from quill_models.reads.query import Query
from quill_models.values.clock import aware_utc, system_clock
from quill_models.values.errors import InvalidValue

__all__ = ["DAY", "list_items"]

_DAYS_SHOWN = 7


class _Time(click.ParamType[datetime]):
    """An aware time; one without a zone is taken as UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-11-22T10:00", param, ctx)
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


class _Day(click.ParamType[date]):
    """A UTC day."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day such as 2026-11-22", param, ctx)


DAY = _Day()

_limit = limit_option(50, "How many at most.")
_since = click.option("--since", type=_Time(), help="From this time on.")
_until = click.option("--until", type=_Time(), help="Before this time.")
_newest = click.option("--newest-first", is_flag=True, help="Newest first.")


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


@list_items.command()
@click.option("--team", help="Of this team.")
@click.option(
    "--status", type=click.Choice([status.value for status in AgentStatus]), help="In this status."
)
@_limit
@json_option
def agents(*, team: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """Agents by name: of a team, in a status, or all.

    \b
    Examples:
      quill list agents
      quill list agents --team north
      quill list agents --status inactive --json
    """  # noqa: D301
    if team is not None and status is not None:
        raise click.UsageError("Give --team or --status, not both.")
    with connect() as quill:
        if team is not None:
            queries = [quill.agents.list_by_team(team)]
        else:
            statuses = [AgentStatus(status)] if status else list(AgentStatus)
            queries = [quill.agents.list_by_status(each) for each in statuses]
        _show(
            "agents",
            queries,
            ("agent_id", "name", "team", "status", "external_ids"),
            limit,
            as_json,
        )


@list_items.command()
@click.option("--agent", help="Of this agent id.")
@click.option("--contact", help="Of this contact id.")
@click.option("--day", type=DAY, help="That start on this UTC day.")
@_since
@_until
@_newest
@_limit
@json_option
def interactions(
    *,
    agent: str | None,
    contact: str | None,
    day: date | None,
    since: datetime | None,
    until: datetime | None,
    newest_first: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Interactions by start: of an agent, a contact or a day; else the last seven days.

    Times without a zone are UTC.

    \b
    Examples:
      quill list interactions
      quill list interactions --day 2026-11-22
      quill list interactions --agent ada --since 2026-11-01 --newest-first
      quill list interactions --contact 847 --json
    """  # noqa: D301
    if sum(chosen is not None for chosen in (agent, contact, day)) > 1:
        raise click.UsageError("Give one of --agent, --contact and --day.")
    if agent is None and contact is None and (since is not None or until is not None):
        raise click.UsageError("--since and --until go with --agent or --contact.")
    with connect() as quill:
        repository = quill.interactions
        if agent is not None:
            queries = [repository.list_by_agent(agent, since, until, newest_first=newest_first)]
        elif contact is not None:
            queries = [repository.list_by_contact(contact, since, until, newest_first=newest_first)]
        else:
            queries = [
                repository.list_by_day(each, newest_first=newest_first)
                for each in ([day] if day else _last_days(newest_first=newest_first))
            ]
        is_chosen = agent is not None or contact is not None or day is not None
        what = "interactions" if is_chosen else f"interactions in the last {_DAYS_SHOWN} days"
        columns = (
            "interaction_id",
            "started_at",
            "agent_id",
            "contact_id",
            "channel",
            "outcome",
            "subject",
        )
        _show(what, queries, columns, limit, as_json)


@list_items.command()
@click.option("--scope", help="agent:ID, team:NAME or global.")
@click.option("--name", help="The metric; with --scope or --bucket.")
@click.option(
    "--grain",
    type=click.Choice([grain.value for grain in Grain]),
    default="day",
    show_default=True,
    help="How long a bucket is.",
)
@click.option("--bucket", type=_Time(), help="Every scope's value in the bucket that starts here.")
@click.option("--day", type=_Day(), help="All whose bucket starts on this UTC day.")
@_since
@_until
@_newest
@_limit
@json_option
def metrics(
    *,
    scope: str | None,
    name: str | None,
    grain: str,
    bucket: datetime | None,
    day: date | None,
    since: datetime | None,
    until: datetime | None,
    newest_first: bool,
    limit: int,
    as_json: bool,
) -> None:
    """A metric over time (--scope), in one bucket for every scope (--bucket), or all of a --day.

    \b
    Examples:
      quill list metrics --scope agent:ada --name calls --since 2026-11-01
      quill list metrics --name calls --grain hour --bucket 2026-11-22T10:00
      quill list metrics --day 2026-11-22 --json
    """  # noqa: D301
    if sum(chosen is not None for chosen in (scope, bucket, day)) != 1:
        raise click.UsageError("Give one of --scope, --bucket and --day.")
    if (name is None) == (day is None):
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
    with connect() as quill:
        if day is not None:
            query = quill.metrics.list_by_day(day, newest_first=newest_first)
        elif bucket is not None:
            query = quill.metrics.across(name or "", grain, bucket)
        else:
            query = quill.metrics.series(
                scope or "", name or "", grain, since, until, newest_first=newest_first
            )
        _show(
            "metrics",
            [query],
            ("scope", "name", "grain", "bucket_start", "value", "unit"),
            limit,
            as_json,
        )


@list_items.command("job-runs")
@click.option("--job", help="Of this job.")
@click.option(
    "--status", type=click.Choice([status.value for status in JobStatus]), help="In this status."
)
@_limit
@json_option
def job_runs(*, job: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """Job runs, newest first: of a job, in a status, or all, status by status.

    \b
    Examples:
      quill list job-runs --job ingest-hubspot
      quill list job-runs --status failed --json
    """  # noqa: D301
    if job is not None and status is not None:
        raise click.UsageError("Give --job or --status, not both.")
    with connect() as quill:
        if job is not None:
            queries = [quill.job_runs.list_by_job(job)]
        else:
            statuses = [JobStatus(status)] if status else list(JobStatus)
            queries = [quill.job_runs.list_by_status(each, newest_first=True) for each in statuses]
        columns = ("job_name", "window", "status", "attempt", "started_at", "finished_at", "stats")
        _show("job runs", queries, columns, limit, as_json)


@list_items.command("webhook-events")
@click.option("--source", default=hubspot.SOURCE, show_default=True, help="Of this source.")
@click.option(
    "--status", type=click.Choice([status.value for status in EventStatus]), help="In this status."
)
@click.option("--object", "about", nargs=2, metavar="TYPE ID", help="About this object.")
@_newest
@_limit
@json_option
def webhook_events(
    *,
    source: str,
    status: str | None,
    about: tuple[str, str] | None,
    newest_first: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Webhook events of a source: about an object, in a status, or all, status by status.

    \b
    Examples:
      quill list webhook-events --status dead
      quill list webhook-events --object contact 847 --newest-first
      quill list webhook-events --source hubspot --limit 500 --json
    """  # noqa: D301
    if about is not None and status is not None:
        raise click.UsageError("Give --object or --status, not both.")
    with connect() as quill:
        repository = quill.webhook_events
        if about is not None:
            queries = [repository.list_by_object(source, *about, newest_first=newest_first)]
        else:
            statuses = [EventStatus(status)] if status else list(EventStatus)
            queries = [
                repository.list_by_status(source, each, newest_first=newest_first)
                for each in statuses
            ]
        columns = ("event_type", "object_type", "object_id", "occurred_at", "status", "event_key")
        what = f"{status or ''} webhook events of {source!r}".lstrip()
        _show(what, queries, columns, limit, as_json, none="--source names another one.")


def _show(
    what: str,
    queries: Sequence[Query[Any]],
    columns: Sequence[str],
    limit: int,
    as_json: bool,  # noqa: FBT001
    *,
    none: str = "",
) -> None:
    found: Iterator[QuillModel] = chain.from_iterable(queries)
    models = list(islice(found, limit + 1))
    more, models = len(models) > limit, models[:limit]
    if as_json:
        print_json({"items": [to_json(model) for model in models], "more": more})
        return
    if not models:
        click.echo(f"No {what}. {none}".rstrip())
        return
    show_table(columns, [[getattr(model, column) for column in columns] for model in models])
    if more:
        click.echo(f"There are more than {limit}: give a higher --limit.", err=True)


def _last_days(*, newest_first: bool) -> list[date]:
    today = system_clock().date()
    days = [today - timedelta(days=back) for back in range(_DAYS_SHOWN)]
    return days if newest_first else days[::-1]
