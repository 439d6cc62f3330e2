"""`quill jobs`: what runs, what is stuck, what failed; and the end of a run from outside."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from quill_models.command.failures import Failed
from quill_models.command.group import CommandGroup
from quill_models.command.output import json_option, limit_option, print_json, show, table
from quill_models.command.overview import age, alone, present, shortened, watch_option
from quill_models.models import JobRun, JobStatus
from quill_models.models.json_form import to_json
from quill_models.quill import Quill, connect
from quill_models.values.clock import system_clock
from quill_models.values.keys import time_text

__all__ = ["jobs"]


@click.group(cls=CommandGroup, invoke_without_command=True, subcommand_metavar="[COMMAND]")
@click.option("--job", help="The runs of this job, newest first.")
@limit_option(20, "How many of each at most.")
@json_option
@watch_option
@click.pass_context
def jobs(
    context: click.Context, *, job: str | None, limit: int, as_json: bool, watch: int | None
) -> None:
    """Show which jobs run, which of them are stale, and which failed.

    A run is stale where its lease has ended and it still counts as running: its process
    gave no sign of life. The next start of its window takes over.

    Failed runs are the last started ones. The last success is shown of the jobs that run or
    failed, and of those among the runs that succeeded lately. Times are UTC.

    \b
    Examples:
      quill jobs
      quill jobs --watch
      quill jobs --job ingest-hubspot --limit 5
      quill jobs --json
    """  # noqa: D301 -- click's mark for "keep these lines"
    if not alone(context):
        return
    if job is None:
        present(lambda quill: _Overview.read(quill, limit), as_json=as_json, watch=watch)
    else:
        present(lambda quill: _Runs.read(quill, job, limit), as_json=as_json, watch=watch)


@jobs.command()
@click.argument("job")
@click.argument("window")
@json_option
def attempts(*, job: str, window: str, as_json: bool) -> None:
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
    view = _Attempts(system_clock(), job, window, found)
    if as_json:
        print_json(view.document())
    else:
        show(view.shown())


@jobs.command()
@click.argument("job")
@click.argument("window")
@json_option
def cancel(*, job: str, window: str, as_json: bool) -> None:
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
    if as_json:
        print_json({"cancelled": ended, "run": to_json(run)})
    elif ended:
        click.echo(
            f"Cancelled attempt {run.attempt} of {_which(job, window)}, held by {run.owner!r}."
        )
    else:
        at = "" if run.finished_at is None else f" since {run.finished_at:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(f"Nothing to cancel: {_which(job, window)} is {run.status.value}{at}.")


@dataclass(frozen=True)
class _Overview:
    """What runs, what failed, and the last success of each job that is known from those."""

    at: datetime
    running: Sequence[JobRun]
    failed: Sequence[JobRun]
    succeeded: Sequence[JobRun]
    # Whether there are more than the limit.
    more_running: bool
    more_failed: bool

    @classmethod
    def read(cls, quill: Quill, limit: int) -> _Overview:
        runs = quill.job_runs
        # By themselves, so that no limit hides them. Where one was renewed between the two
        # requests, what was read last counts.
        stale = runs.stale().page(limit)
        running = runs.list_by_status(JobStatus.RUNNING).page(limit)
        found = {(run.job_name, run.window): run for run in (*stale.items, *running.items)}
        failed = runs.list_by_status(JobStatus.FAILED, newest_first=True).page(limit)
        lately = runs.list_by_status(JobStatus.SUCCEEDED, newest_first=True).page(limit)
        known = (*found.values(), *failed.items, *lately.items)
        last = [runs.last_success(name) for name in sorted({run.job_name for run in known})]
        return cls(
            system_clock(),
            sorted(found.values(), key=lambda run: run.lease_expires_at),
            failed.items,
            [run for run in last if run is not None],
            more_running=bool(stale.cursor or running.cursor),
            more_failed=failed.cursor is not None,
        )

    def document(self) -> dict[str, Any]:
        return {
            "at": time_text(self.at),
            "running": _documents(self.running, self.at),
            "failed": _documents(self.failed, self.at),
            "last_success": _documents(self.succeeded, self.at),
            "more": {"running": self.more_running, "failed": self.more_failed},
        }

    def shown(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self.running:
            parts.append(
                table(
                    (
                        "job",
                        "window",
                        "status",
                        "attempt",
                        "since",
                        "by",
                        "heartbeat",
                        "lease ends",
                    ),
                    [
                        (
                            run.job_name,
                            run.window,
                            _status(run, self.at),
                            run.attempt,
                            run.started_at,
                            run.owner,
                            age(run.heartbeat_at, self.at),
                            age(run.lease_expires_at, self.at),
                        )
                        for run in self.running
                    ],
                    title=f"running ({self._stale()})",
                )
            )
        else:
            parts.append(Text("No job is running."))
        if self.failed:
            parts.append(
                table(
                    ("job", "window", "attempt", "started", "failed", "error"),
                    [
                        (
                            run.job_name,
                            run.window,
                            run.attempt,
                            run.started_at,
                            age(run.finished_at, self.at),
                            _error(run),
                        )
                        for run in self.failed
                    ],
                    title="failed, the last started first",
                )
            )
        if self.succeeded:
            parts.append(
                table(
                    ("job", "window", "finished", "", "stats"),
                    [
                        (
                            run.job_name,
                            run.window,
                            run.finished_at,
                            age(run.finished_at, self.at),
                            run.stats,
                        )
                        for run in self.succeeded
                    ],
                    title="last success",
                )
            )
        if self.more_running or self.more_failed:
            parts.append(_MORE)
        return Group(*parts)

    def _stale(self) -> str:
        stale = sum(_is_stale(run, self.at) for run in self.running)
        return f"{stale} stale" if stale else "none stale"


@dataclass(frozen=True)
class _Runs:
    """The runs of one job, newest first."""

    at: datetime
    job: str
    runs: Sequence[JobRun]
    more: bool

    @classmethod
    def read(cls, quill: Quill, job: str, limit: int) -> _Runs:
        page = quill.job_runs.list_by_job(job).page(limit)
        return cls(system_clock(), job, page.items, page.cursor is not None)

    def document(self) -> dict[str, Any]:
        return {
            "at": time_text(self.at),
            "items": _documents(self.runs, self.at),
            "more": self.more,
        }

    def shown(self) -> RenderableType:
        if not self.runs:
            return Text(f"The job {self.job!r} has no runs.")
        shown = table(
            ("window", *_RUN_COLUMNS),
            [(run.window, *_cells(run, self.at)) for run in self.runs],
            title=f"the runs of {self.job}, newest first",
        )
        return Group(shown, _MORE) if self.more else shown


@dataclass(frozen=True)
class _Attempts:
    """The attempts at one window, the first one first."""

    at: datetime
    job: str
    window: str
    attempts: Sequence[JobRun]

    def document(self) -> dict[str, Any]:
        return {
            "at": time_text(self.at),
            "job_name": self.job,
            "window": self.window,
            "attempts": _documents(self.attempts, self.at),
        }

    def shown(self) -> RenderableType:
        return table(
            _RUN_COLUMNS,
            [_cells(run, self.at) for run in self.attempts],
            title=f"the attempts at {self.window} of {self.job}",
        )


_MORE = Text("There are more: give a higher --limit.", style="dim")
_RUN_COLUMNS = (
    "attempt",
    "status",
    "by",
    "started",
    "heartbeat",
    "lease ends",
    "finished",
    "error",
)


def _cells(run: JobRun, now: datetime) -> tuple[object, ...]:
    # Of a run that is over, nobody waits for a sign of life.
    runs = run.status is JobStatus.RUNNING
    return (
        run.attempt,
        _status(run, now),
        run.owner,
        run.started_at,
        age(run.heartbeat_at, now) if runs else "",
        age(run.lease_expires_at, now) if runs else "",
        run.finished_at,
        _error(run),
    )


def _is_stale(run: JobRun, now: datetime) -> bool:
    return run.status is JobStatus.RUNNING and run.lease_expires_at <= now


def _status(run: JobRun, now: datetime) -> Text | str:
    return Text("STALE", style="bold red") if _is_stale(run, now) else run.status.value


def _error(run: JobRun) -> str:
    if not run.error:
        return ""
    kind, message = (run.error.get(name) or "" for name in ("type", "message"))
    return shortened(": ".join(str(part) for part in (kind, message) if part))


def _documents(runs: Iterable[JobRun], now: datetime) -> list[dict[str, Any]]:
    return [{**to_json(run), "stale": _is_stale(run, now)} for run in runs]


def _which(job: str, window: str) -> str:
    return f"the job {job!r} for the window {window!r}"


def _no_such_run(job: str, window: str) -> Failed:
    reason = f"There is no run of {_which(job, window)}. See quill jobs --job {shlex.quote(job)}"
    return Failed(reason, kind="NotFound", job_name=job, window=window)
