"""`quill jobs`: running, stale and failed job runs, and their cancellation."""

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


@overview(_LISTS.options, "Maximum number of runs in each list.")
def jobs(*, job: str | None, limit: int, **chosen: Any) -> Read:
    """Show running, stale and failed job runs, and last successes.

    A run is stale if its lease has expired but its status is still running: its process did
    not renew the lease. The next start of its window takes over.

    Failed runs are shown by start, newest first. The last success is shown for each job that
    has a shown run or a recent success. Times are UTC. With --status, --since or --until, the
    command lists runs like quill list job-runs.

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
    """Show all attempts of a job run, oldest first.

    The exit status is 1 if the job run does not exist.

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
    document = {"job_name": job, "window": window, "attempts": _documents(found, now)}
    title = f"Attempts of {job}, window {window}"
    report({"at": time_text(now), **document}, stacked(_table(_RUN, found, now, title)))


@jobs.command()
@click.argument("job")
@click.argument("window")
@json_option
def cancel(*, job: str, window: str) -> None:
    """Cancel a running job run, so that its window can be started again.

    The process is not stopped, but its next write to the run fails. A finished run is left
    unchanged, which is not an error. The exit status is 1 if the job run does not exist.

    \b
    Examples:
      quill jobs cancel ingest-hubspot 2026-11-22T10
    """  # noqa: D301
    with connect() as quill:
        # The result of `cancel` does not show whether this call cancelled the run.
        before = quill.job_runs.get(job, window)
        run = None if before is None else quill.job_runs.cancel(job, window)
    if before is None or run is None:
        raise _no_such_run(job, window)
    cancelled = before.status is JobStatus.RUNNING and run.status is JobStatus.CANCELLED
    at = "" if run.finished_at is None else f" at {run.finished_at:%Y-%m-%d %H:%M:%S} UTC"
    ended = f"{run.status.value}{at}"
    report(
        {"cancelled": cancelled, "run": to_json(run)},
        f"Cancelled job {job}, window {window}: attempt {run.attempt} of {run.owner}."
        if cancelled
        else f"Job {job}, window {window}, already {ended}. There is nothing to cancel.",
    )


def _overview(quill: Quill, limit: int) -> View:
    """Read the running and the failed runs, and the last success of each job found."""
    runs = quill.job_runs
    # Stale runs have their own page, so that the limit hides none. The later read of a run wins.
    stale = runs.stale().page(limit)
    alive = runs.list_by_status(JobStatus.RUNNING).page(limit)
    found = {(run.job_name, run.window): run for run in (*stale.items, *alive.items)}
    running = sorted(found.values(), key=lambda run: run.lease_expires_at)
    failed = runs.list_by_status(JobStatus.FAILED, newest_first=True).page(limit)
    recent = runs.list_by_status(JobStatus.SUCCEEDED, newest_first=True).page(limit)
    names = {run.job_name for run in (*running, *failed.items, *recent.items)}
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
    output = stacked(
        _table(_RUNNING, running, now, f"Running ({overdue} stale)") or Text("No job is running."),
        _table(_FAILED, failed.items, now, "Failed, newest first"),
        _table(_SUCCEEDED, succeeded, now, "Last success"),
        _MORE if any(more.values()) else None,
    )
    return View(document, output)


def _runs(quill: Quill, job: str, limit: int) -> View:
    """Read the runs of one job, newest first."""
    page = quill.job_runs.list_by_job(job).page(limit)
    more, now = page.cursor is not None, system_clock()
    document = {"at": time_text(now), "items": _documents(page.items, now), "more": more}
    runs = _table(("window", *_RUN), page.items, now, f"Runs of {job}, newest first")
    none = Text(f"Job {job} has no runs.")
    return View(document, stacked(runs or none, _MORE if more else None))


_MORE = Text("There are more runs. Show them with a higher --limit.", style="dim")
_COLUMNS: dict[str, Callable[[JobRun, datetime], object]] = {
    "job": lambda run, _: run.job_name,
    "window": lambda run, _: run.window,
    "status": lambda run, now: (
        Text("STALE", style="bold red") if _is_stale(run, now) else run.status.value
    ),
    "attempt": lambda run, _: run.attempt,
    "owner": lambda run, _: run.owner,
    "started": lambda run, _: run.started_at,
    "heartbeat": lambda run, now: age(run.heartbeat_at, now) if _is_running(run) else "",
    "lease expires": lambda run, now: age(run.lease_expires_at, now) if _is_running(run) else "",
    "finished": lambda run, _: run.finished_at,
    "age": lambda run, now: age(run.finished_at, now),
    "failed": lambda run, now: age(run.finished_at, now),
    "error": lambda run, _: _error(run),
    "stats": lambda run, _: run.stats,
}
_RUN = ("attempt", "status", "owner", "started", "heartbeat", "lease expires", "finished", "error")
_RUNNING = ("job", "window", "status", "attempt", "started", "owner", "heartbeat", "lease expires")
_FAILED = ("job", "window", "attempt", "started", "failed", "error")
_SUCCEEDED = ("job", "window", "finished", "age", "stats")


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


def _no_such_run(job: str, window: str) -> Failed:
    hint = f"List the windows of the job with: quill jobs --job {shlex.quote(job)}"
    reason = f"Job {job}, window {window}, does not exist. {hint}"
    return Failed(reason, kind="NotFound", job_name=job, window=window)
