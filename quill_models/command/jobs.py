"""`quill jobs`: what runs, what is stuck, what failed; and the end of a run from outside."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from quill_models.command.failures import Failed, report
from quill_models.command.lists import Lists
from quill_models.command.output import json_option, table
from quill_models.command.overview import Read, View, age, overview, shortened, stacked
from quill_models.models import JobRun, JobStatus
from quill_models.models.json_form import to_json
from quill_models.quill import Quill, connect
from quill_models.repositories import JobRuns
from quill_models.values.clock import system_clock
from quill_models.values.keys import time_text

__all__ = ["jobs"]

_LISTS = Lists(JobRuns)


@overview(_LISTS.options, "How many of each at most.")
def jobs(*, job: str | None, limit: int, **chosen: Any) -> Read:
    """Show which jobs run, which of them are stale, and which failed.

    A run is stale where its lease has ended and it still counts as running: its process
    gave no sign of life. The next start of its window takes over.

    Failed runs are the last started ones. The last success is shown of the jobs that run or
    failed, and of those among the runs that succeeded lately. Times are UTC. With --status,
    --since or --until it is a list, as of quill list job-runs.

    \b
    Examples:
      quill jobs
      quill jobs --watch
      quill jobs --job ingest-hubspot --limit 5
      quill jobs --status failed --json
    """  # noqa: D301 -- click's mark for "keep these lines"
    if any(chosen.values()):
        return _LISTS.reader(limit, job=job, **chosen)
    if job is not None:
        return partial(_runs, job=job, limit=limit)
    return partial(_overview, limit=limit)


@jobs.command()
@click.argument("job")
@click.argument("window")
@json_option
def attempts(*, job: str, window: str) -> None:
    """Show every attempt at a window of a job, the first one first.

    Exit status 1 where the job never ran for the window.

    \b
    Examples:
      quill jobs attempts ingest-hubspot 2026-11-22T10
      quill jobs attempts --json ingest-hubspot 2026-11-22T10
    """  # noqa: D301
    with connect() as quill:
        found = quill.job_runs.attempts(job, window)
    if not found:
        raise _no_such_run(job, window)
    now = system_clock()
    tries = {"job_name": job, "window": window, "attempts": _documents(found, now)}
    title = f"the attempts at {window} of {job}"
    report({"at": time_text(now), **tries}, stacked(_table(_RUN, found, now, title)))


@jobs.command()
@click.argument("job")
@click.argument("window")
@json_option
def cancel(*, job: str, window: str) -> None:
    """End a running run from outside, so that its window can be started again.

    Its process is not stopped; whatever it writes from now on is refused. A run that is over
    stays as it is, which is no error. Exit status 1 where there is no such run.

    \b
    Examples:
      quill jobs cancel ingest-hubspot 2026-11-22T10
    """  # noqa: D301
    with connect() as quill:
        # What `cancel` returns does not tell whether it was this call that ended the run.
        before = quill.job_runs.get(job, window)
        run = None if before is None else quill.job_runs.cancel(job, window)
    if before is None or run is None:
        raise _no_such_run(job, window)
    ended = before.status is JobStatus.RUNNING and run.status is JobStatus.CANCELLED
    at = "" if run.finished_at is None else f" since {run.finished_at:%Y-%m-%d %H:%M:%S} UTC"
    report(
        {"cancelled": ended, "run": to_json(run)},
        f"Cancelled attempt {run.attempt} of {_which(job, window)}, held by {run.owner!r}."
        if ended
        else f"Nothing to cancel: {_which(job, window)} is {run.status.value}{at}.",
    )


def _overview(quill: Quill, limit: int) -> View:
    """What runs, what failed, and the last success of each job that is known from those."""
    runs = quill.job_runs
    # By themselves, so that no limit hides them. If one was renewed, what was read last counts.
    stale = runs.stale().page(limit)
    alive = runs.list_by_status(JobStatus.RUNNING).page(limit)
    found = {(run.job_name, run.window): run for run in (*stale.items, *alive.items)}
    running = sorted(found.values(), key=lambda run: run.lease_expires_at)
    failed = runs.list_by_status(JobStatus.FAILED, newest_first=True).page(limit)
    lately = runs.list_by_status(JobStatus.SUCCEEDED, newest_first=True).page(limit)
    names = {run.job_name for run in (*running, *failed.items, *lately.items)}
    succeeded = [run for run in map(runs.last_success, sorted(names)) if run is not None]
    more = {"running": bool(stale.cursor or alive.cursor), "failed": failed.cursor is not None}
    now = system_clock()
    document = {
        "at": time_text(now),
        "running": _documents(running, now),
        "failed": _documents(failed.items, now),
        "last_success": _documents(succeeded, now),
        "more": more,
    }
    overdue = sum(_is_stale(run, now) for run in running) or "none"
    shown = stacked(
        _table(_RUNNING, running, now, f"running ({overdue} stale)") or Text("No job is running."),
        _table(_FAILED, failed.items, now, "failed, the last started first"),
        _table(_SUCCEEDED, succeeded, now, "last success"),
        _MORE if any(more.values()) else None,
    )
    return View(document, shown)


def _runs(quill: Quill, job: str, limit: int) -> View:
    """The runs of one job, newest first."""
    page = quill.job_runs.list_by_job(job).page(limit)
    more, now = page.cursor is not None, system_clock()
    document = {"at": time_text(now), "items": _documents(page.items, now), "more": more}
    shown = _table(("window", *_RUN), page.items, now, f"the runs of {job}, newest first")
    none = Text(f"The job {job!r} has no runs.")
    return View(document, stacked(shown or none, _MORE if more else None))


_MORE = Text("There are more: give a higher --limit.", style="dim")
_COLUMNS: dict[str, Callable[[JobRun, datetime], object]] = {
    "job": lambda run, _: run.job_name,
    "window": lambda run, _: run.window,
    "status": lambda run, now: (
        Text("STALE", style="bold red") if _is_stale(run, now) else run.status.value
    ),
    "attempt": lambda run, _: run.attempt,
    "by": lambda run, _: run.owner,
    "since": lambda run, _: run.started_at,
    "started": lambda run, _: run.started_at,
    # Of a run that is over, nobody waits for a sign of life.
    "heartbeat": lambda run, now: age(run.heartbeat_at, now) if _is_running(run) else "",
    "lease ends": lambda run, now: age(run.lease_expires_at, now) if _is_running(run) else "",
    "finished": lambda run, _: run.finished_at,
    "": lambda run, now: age(run.finished_at, now),
    "failed": lambda run, now: age(run.finished_at, now),
    "error": lambda run, _: _error(run),
    "stats": lambda run, _: run.stats,
}
_RUN = ("attempt", "status", "by", "started", "heartbeat", "lease ends", "finished", "error")
_RUNNING = ("job", "window", "status", "attempt", "since", "by", "heartbeat", "lease ends")
_FAILED = ("job", "window", "attempt", "started", "failed", "error")
_SUCCEEDED = ("job", "window", "finished", "", "stats")


def _table(
    columns: Sequence[str], runs: Iterable[JobRun], now: datetime, title: str
) -> Table | None:
    rows = [[_COLUMNS[column](run, now) for column in columns] for run in runs]
    return table(columns, rows, title=title) if rows else None


def _is_running(run: JobRun) -> bool:
    return run.status is JobStatus.RUNNING


def _is_stale(run: JobRun, now: datetime) -> bool:
    return _is_running(run) and run.lease_expires_at <= now


def _error(run: JobRun) -> str:
    error = run.error or {}
    return shortened(": ".join(str(error[name]) for name in ("type", "message") if error.get(name)))


def _documents(runs: Iterable[JobRun], now: datetime) -> list[dict[str, Any]]:
    return [{**to_json(run), "stale": _is_stale(run, now)} for run in runs]


def _which(job: str, window: str) -> str:
    return f"the job {job!r} for the window {window!r}"


def _no_such_run(job: str, window: str) -> Failed:
    reason = f"There is no run of {_which(job, window)}. See quill jobs --job {shlex.quote(job)}"
    return Failed(reason, kind="NotFound", job_name=job, window=window)
