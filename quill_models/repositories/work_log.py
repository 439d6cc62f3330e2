"""What happens to job runs and to events, in the log.

A warning is something that a person may have to look into: a job that failed, a lease that was
lost, an event that is dead. It names the job and window, or the source and event key, that they
have to look for. Errors are named by their class: their messages are written by handlers and jobs,
which may put into them whatever they work on.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

from quill_models.dynamodb.items import RawItem
from quill_models.models import JobRun, JobStatus, WebhookEvent

__all__ = [
    "event_done_before_error",
    "event_is_dead",
    "event_is_unreadable",
    "event_lost",
    "event_not_renewed",
    "run_ended",
    "run_lost",
    "run_not_renewed",
    "run_started",
]

_runs = logging.getLogger("quill_models.job_runs")
_events = logging.getLogger("quill_models.events")


def run_started(run: JobRun, after: JobRun | None) -> None:
    """At INFO; at WARNING where the attempt before gave no sign of life."""
    if after is not None and after.status is JobStatus.RUNNING:
        _runs.warning(
            "Job %r, window %r: attempt %d took over from attempt %d of %s, "
            "whose lease ended at %s",
            run.job_name,
            run.window,
            run.attempt,
            after.attempt,
            after.owner,
            f"{after.lease_expires_at:%Y-%m-%dT%H:%M:%SZ}",
            extra=_of_run(run),
        )
        return
    _runs.info(
        "Job %r, window %r: attempt %d started",
        run.job_name,
        run.window,
        run.attempt,
        extra=_of_run(run),
    )


def run_ended(run: JobRun) -> None:
    """At INFO; at WARNING where it failed."""
    _runs.log(
        logging.WARNING if run.status is JobStatus.FAILED else logging.INFO,
        "Job %r, window %r: attempt %d %s%s",
        run.job_name,
        run.window,
        run.attempt,
        run.status.value,
        f" with {run.error['type']}" if run.error else "",
        extra=_of_run(run, quill_error=run.error["type"] if run.error else None),
    )


def run_lost(run: JobRun) -> None:
    """At WARNING: another attempt took over, or somebody cancelled it."""
    _runs.warning(
        "Job %r, window %r: attempt %d no longer holds its lease",
        run.job_name,
        run.window,
        run.attempt,
        extra=_of_run(run),
    )


def run_not_renewed(run: JobRun, error: Exception) -> None:
    """At WARNING: it is tried again, and lost where that goes on."""
    _runs.warning(
        "Job %r, window %r: the lease of attempt %d could not be renewed: %s",
        run.job_name,
        run.window,
        run.attempt,
        type(error).__name__,
        extra=_of_run(run, quill_error=type(error).__name__),
    )


def event_is_dead(event: WebhookEvent) -> None:
    """At WARNING: nobody works on it any more, until it is replayed."""
    _events.warning(
        "Event %r of %r is dead after %d attempts",
        event.event_key,
        event.source,
        event.attempts,
        extra=_of_event(event),
    )


def event_is_unreadable(source: str, item: RawItem) -> None:
    """At WARNING: no claim hands it out, until it is mended or deleted."""
    key = item.get("event_key", {}).get("S") or item["pk"]["S"]
    _events.warning(
        "Event %r of %r cannot be read: claims leave it out",
        key,
        source,
        extra={"quill_source": source, "quill_event_key": key},
    )


def event_lost(event: WebhookEvent) -> None:
    """At WARNING: its lease ended before it was done with."""
    _events.warning(
        "Event %r of %r: this worker no longer holds it",
        event.event_key,
        event.source,
        extra=_of_event(event),
    )


def event_not_renewed(event: WebhookEvent, error: Exception) -> None:
    """At WARNING: it is tried again, and lost where that goes on."""
    name = type(error).__name__
    _events.warning(
        "Event %r of %r: its lease could not be renewed: %s",
        event.event_key,
        event.source,
        name,
        extra=_of_event(event, quill_error=name),
    )


def event_done_before_error(event: WebhookEvent, error: Exception) -> None:
    """At WARNING: nothing else keeps the error."""
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    _events.warning(
        "Event %r of %r was done with (%s) when its handler raised %s%s",
        event.event_key,
        event.source,
        event.status.value,
        name,
        where,
        extra=_of_event(event, quill_error=name),
    )


def _of_run(run: JobRun, **more: Any) -> dict[str, Any]:
    return {
        "quill_job": run.job_name,
        "quill_window": run.window,
        "quill_attempt": run.attempt,
        "quill_owner": run.owner,
        "quill_status": run.status.value,
        **more,
    }


def _of_event(event: WebhookEvent, **more: Any) -> dict[str, Any]:
    return {
        "quill_source": event.source,
        "quill_event_key": event.event_key,
        "quill_attempt": event.attempts,
        "quill_status": event.status.value,
        **more,
    }
