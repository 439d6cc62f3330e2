import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, assert_type

from quill_models import (
    AlreadyRunning,
    AlreadySucceeded,
    EventStatus,
    InvalidPayload,
    JobRun,
    JobStatus,
    Query,
    Quill,
    Run,
    Watermark,
    WebhookEvent,
    WriteResult,
    hubspot,
)
from quill_models.repositories.worker import Processed


def runs(quill: Quill, lease: timedelta) -> None:
    assert_type(quill.job_runs.start("sync"), Run)
    with quill.job_runs.start("sync", window="2026-11-22T10", lease=lease, force=True) as run:
        assert_type(run, Run)
        assert_type(run.job_name, str)
        assert_type(run.window, str)
        assert_type(run.checkpoint, dict[str, Any])
        assert_type(run.save_checkpoint({"page": 3}), None)
        assert_type(run.stats, dict[str, Any])
        assert_type(run.fencing_token, int)
        assert_type(run.attempt, int)
        assert_type(run.is_sure, bool)
        assert_type(run.check(), None)
    assert_type(quill.job_runs.get("sync", "2026-11-22T10"), JobRun | None)
    assert_type(quill.job_runs.attempts("sync", "2026-11-22T10"), list[JobRun])
    assert_type(quill.job_runs.list_by_job("sync"), Query[JobRun])
    assert_type(quill.job_runs.list_by_status(JobStatus.FAILED), Query[JobRun])
    assert_type(quill.job_runs.list_by_status("failed"), Query[JobRun])
    assert_type(quill.job_runs.last_success("sync"), JobRun | None)
    assert_type(quill.job_runs.stale(), Query[JobRun])
    assert_type(quill.job_runs.cancel("sync", "2026-11-22T10"), JobRun | None)


def starting(running: AlreadyRunning, done: AlreadySucceeded) -> None:
    assert_type(running.run, JobRun)
    assert_type(done.run.finished_at, datetime | None)


def watermarks(quill: Quill, run: Run, now: datetime) -> None:
    watermark = quill.job_runs.watermark("sync", "hubspot")
    assert_type(watermark, Watermark)
    assert_type(watermark.value, datetime | Decimal | str | None)
    assert_type(watermark.advance(now, run=run), bool)
    assert_type(watermark.advance(7, run=run), bool)
    assert_type(watermark.advance("page-7", run=run), bool)


def events(quill: Quill, event: WebhookEvent, lease: timedelta) -> None:
    repository = quill.webhook_events
    assert_type(repository.record(event), WriteResult[WebhookEvent])
    assert_type(repository.record_many([event]), list[WriteResult[WebhookEvent]])
    assert_type(repository.iter_record_many([event]), Iterator[WriteResult[WebhookEvent]])
    assert_type(repository.claim("hubspot", limit=10, lease=lease), list[WebhookEvent])
    assert_type(repository.complete(event), WebhookEvent)
    assert_type(repository.fail(event, ValueError("no"), retry_in=lease), WebhookEvent)
    assert_type(repository.fail(event, "no"), WebhookEvent)
    assert_type(repository.renew(event), WebhookEvent)
    assert_type(repository.release(event), WebhookEvent)
    assert_type(repository.replay(event), WebhookEvent)
    assert_type(repository.get("hubspot", "1"), WebhookEvent | None)
    assert_type(repository.list_by_status("hubspot", EventStatus.DEAD), Query[WebhookEvent])
    assert_type(repository.list_by_object("hubspot", "contact", "7"), Query[WebhookEvent])


def working(quill: Quill) -> None:
    def handle(event: WebhookEvent) -> None:
        assert_type(event.payload, dict[str, Any])

    done = quill.webhook_events.process(
        "hubspot", handle, until_empty=True, stop=threading.Event(), report=print
    )
    assert_type(done, Processed)
    assert_type(done.completed, int)


def deliveries(body: bytes, text: str, now: datetime) -> None:
    assert_type(hubspot.parse(body), list[WebhookEvent])
    assert_type(hubspot.parse(text, received_at=now), list[WebhookEvent])
    hubspot.verify_signature(
        "secret",
        method="POST",
        uri="https://example.org/hook",
        body=body,
        timestamp="1765043528476",
        signature="…",
        now=now,
    )


def invalid(error: InvalidPayload) -> None:
    assert_type(error.reason, str)
    assert_type(error.position, str | None)
