"""Log records of job runs and events.

A warning may need a person: a failed job, a lost lease, a dead event. It names the job and window,
or the source and event key. Errors appear by their class only, because their messages may contain
any data of jobs and handlers.
"""

from __future__ import annotations

import logging
import traceback
from enum import Enum

from quill_models.dynamodb.items import RawItem
from quill_models.models import JobRun, JobStatus, WebhookEvent

__all__ = [
    "Line",
    "log_handler_error",
    "log_run_ended",
    "log_run_started",
    "log_unreadable",
    "log_work",
]

_RUNS = logging.getLogger("quill_models.job_runs")
_EVENTS = logging.getLogger("quill_models.events")
_JOB, _EVENT = "Job %(job)s, window %(window)s: ", "Event %(source)s/%(event_key)s"
# Values of a message that are fields of the record, too.
_FIELDS = ("job", "window", "source", "event_key", "attempt", "owner", "status", "error")


class Line(Enum):
    """The messages. All are warnings, except for those of a start and an end."""

    RUN_STARTED = f"{_JOB}attempt %(attempt)d started"
    RUN_TOOK_OVER = (
        f"{_JOB}attempt %(attempt)d took over from attempt %(other)d of %(other_owner)s, "
        "whose lease expired at %(lease_end)s"
    )
    RUN_ENDED = f"{_JOB}attempt %(attempt)d %(status)s"
    RUN_FAILED = f"{_JOB}attempt %(attempt)d %(status)s with %(error)s"
    RUN_LOST = f"{_JOB}attempt %(attempt)d lost its lease"
    RUN_NOT_RENEWED = f"{_JOB}the lease of attempt %(attempt)d could not be renewed: %(error)s"
    EVENT_DEAD = f"{_EVENT} is dead after %(attempt)d attempts"
    EVENT_UNREADABLE = f"{_EVENT} is unreadable, so claims skip it"
    EVENT_LOST = f"{_EVENT}: this worker lost the lease"
    EVENT_NOT_RENEWED = f"{_EVENT}: its lease could not be renewed: %(error)s"
    EVENT_DONE_BEFORE_ERROR = (
        f"{_EVENT} was already %(status)s when its handler raised %(error)s%(place)s"
    )


def log_work(line: Line, about: JobRun | WebhookEvent | None, **values: object) -> None:
    """Log one line about a run or an event, with the class of an ``error``."""
    if isinstance(values.get("error"), BaseException):
        values["error"] = type(values["error"]).__name__
    if isinstance(about, JobRun):
        values |= {"job": about.job_name, "window": about.window, "owner": about.owner}
        values |= {"attempt": about.attempt, "status": about.status.value}
    elif about is not None:
        values |= {"source": about.source, "event_key": about.event_key}
        values |= {"attempt": about.attempts, "status": about.status.value}
    logger = _RUNS if isinstance(about, JobRun) else _EVENTS
    is_usual = line in {Line.RUN_STARTED, Line.RUN_ENDED}
    fields = {f"quill_{name}": values[name] for name in _FIELDS if name in values}
    logger.log(logging.INFO if is_usual else logging.WARNING, line.value, values, extra=fields)


def log_run_started(run: JobRun, former: JobRun | None) -> None:
    """Log the start of an attempt; a warning if the lease of the former attempt expired."""
    if former is None or former.status is not JobStatus.RUNNING:
        log_work(Line.RUN_STARTED, run)
    else:
        ended = f"{former.lease_expires_at:%Y-%m-%dT%H:%M:%SZ}"
        other = {"other": former.attempt, "other_owner": former.owner, "lease_end": ended}
        log_work(Line.RUN_TOOK_OVER, run, **other)


def log_run_ended(run: JobRun) -> None:
    """Log the end of an attempt; a warning if it failed."""
    line = Line.RUN_FAILED if run.status is JobStatus.FAILED else Line.RUN_ENDED
    log_work(line, run, error=run.error["type"] if run.error else None)


def log_unreadable(source: str, item: RawItem) -> None:
    """Log an event that no claim returns until it is fixed or deleted."""
    key = item.get("event_key", {}).get("S") or item["pk"]["S"]
    log_work(Line.EVENT_UNREADABLE, None, source=source, event_key=key)


def log_handler_error(event: WebhookEvent, error: Exception) -> None:
    """Log an error of a handler that had settled its event; nothing else keeps the error."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    log_work(Line.EVENT_DONE_BEFORE_ERROR, event, error=error, place=place)
