"""Lines about job runs and events: logger, level, message and fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from quill_models import JobRun, JobStatus, WebhookEvent
from quill_models.models import EventStatus
from quill_models.repositories.work_log import (
    Line,
    log_handler_error,
    log_run_ended,
    log_run_started,
    log_unreadable,
    log_work,
)

NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
SECRET = "s3cr3t"

Said = tuple[str, str, str, dict[str, Any]]


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("DEBUG", "quill_models")
    return caplog


def only(records: pytest.LogCaptureFixture) -> Said:
    (record,) = records.records
    fields = {name: value for name, value in vars(record).items() if name.startswith("quill_")}
    assert SECRET not in repr(vars(record))
    return record.name, record.levelname, record.getMessage(), fields


def run(status: str = "running", attempt: int = 2, error: str | None = None) -> JobRun:
    return JobRun(
        job_name="sync",
        window="w",
        run_id="r",
        status=JobStatus(status),
        attempt=attempt,
        owner=f"host:{attempt}",
        fencing_token=attempt,
        started_at=NOON,
        heartbeat_at=NOON,
        lease_expires_at=NOON,
        error=None if error is None else {"type": error, "message": SECRET},
    )


def event(status: str = "processing") -> WebhookEvent:
    made = WebhookEvent(
        source="hubspot",
        event_key="e1",
        event_type="t",
        object_type="contact",
        object_id=SECRET,
        occurred_at=NOON,
        received_at=NOON,
        payload={"x": SECRET},
    )
    made.status, made.attempts = EventStatus(status), 3
    return made


def of_run(status: str = "running", **more: Any) -> dict[str, Any]:
    return {
        "quill_job": "sync",
        "quill_window": "w",
        "quill_attempt": 2,
        "quill_owner": "host:2",
        "quill_status": status,
        **more,
    }


def of_event(status: str = "processing", **more: Any) -> dict[str, Any]:
    return {
        "quill_source": "hubspot",
        "quill_event_key": "e1",
        "quill_attempt": 3,
        "quill_status": status,
        **more,
    }


@pytest.mark.parametrize("former", [None, run("failed", 1, "KeyError")], ids=["first", "failed"])
def test_log_run_started_is_info(records: pytest.LogCaptureFixture, former: JobRun | None) -> None:
    log_run_started(run(), former)
    text = "Job sync, window w: attempt 2 started"
    assert only(records) == ("quill_models.job_runs", "INFO", text, of_run())


def test_log_run_started_after_expired_lease_is_a_warning(
    records: pytest.LogCaptureFixture,
) -> None:
    log_run_started(run(), run(attempt=1))
    text = (
        "Job sync, window w: attempt 2 took over from attempt 1 of host:1, "
        "whose lease expired at 2031-05-17T12:00:00Z"
    )
    assert only(records) == ("quill_models.job_runs", "WARNING", text, of_run())


@pytest.mark.parametrize(
    ("status", "error", "level"),
    [("succeeded", None, "INFO"), ("cancelled", None, "INFO"), ("failed", "KeyError", "WARNING")],
)
def test_log_run_ended_names_the_status(
    records: pytest.LogCaptureFixture, status: str, error: str | None, level: str
) -> None:
    log_run_ended(run(status, error=error))
    text = f"Job sync, window w: attempt 2 {status}{' with KeyError' if error else ''}"
    fields = of_run(status, quill_error=error)
    assert only(records) == ("quill_models.job_runs", level, text, fields)


def test_log_run_lost_is_a_warning(records: pytest.LogCaptureFixture) -> None:
    log_work(Line.RUN_LOST, run())
    text = "Job sync, window w: attempt 2 lost its lease"
    assert only(records) == ("quill_models.job_runs", "WARNING", text, of_run())


def test_log_run_not_renewed_names_the_class_of_the_error(
    records: pytest.LogCaptureFixture,
) -> None:
    log_work(Line.RUN_NOT_RENEWED, run(), error=ValueError(SECRET))
    text = "Job sync, window w: the lease of attempt 2 could not be renewed: ValueError"
    fields = of_run(quill_error="ValueError")
    assert only(records) == ("quill_models.job_runs", "WARNING", text, fields)


def test_log_event_dead_is_a_warning(records: pytest.LogCaptureFixture) -> None:
    log_work(Line.EVENT_DEAD, event("dead"))
    text = "Event hubspot/e1 is dead after 3 attempts"
    assert only(records) == ("quill_models.events", "WARNING", text, of_event("dead"))


@pytest.mark.parametrize(
    ("item", "key"),
    [
        ({"pk": {"S": "WEBHOOK#hubspot#e1"}}, "WEBHOOK#hubspot#e1"),
        ({"pk": {"S": "WEBHOOK#hubspot#e1"}, "event_key": {"S": "e1"}}, "e1"),
    ],
    ids=["without a key", "with its key"],
)
def test_log_unreadable_event_names_the_known_key(
    records: pytest.LogCaptureFixture, item: dict[str, Any], key: str
) -> None:
    log_unreadable("hubspot", item)
    text = f"Event hubspot/{key} is unreadable, so claims skip it"
    fields = {"quill_source": "hubspot", "quill_event_key": key}
    assert only(records) == ("quill_models.events", "WARNING", text, fields)


def test_log_event_lost_is_a_warning(records: pytest.LogCaptureFixture) -> None:
    log_work(Line.EVENT_LOST, event())
    text = "Event hubspot/e1: this worker lost the lease"
    assert only(records) == ("quill_models.events", "WARNING", text, of_event())


def test_log_event_not_renewed_names_the_class_of_the_error(
    records: pytest.LogCaptureFixture,
) -> None:
    log_work(Line.EVENT_NOT_RENEWED, event(), error=ValueError(SECRET))
    text = "Event hubspot/e1: its lease could not be renewed: ValueError"
    fields = of_event(quill_error="ValueError")
    assert only(records) == ("quill_models.events", "WARNING", text, fields)


def test_log_handler_error_names_its_position(records: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match=SECRET) as raised:
        raise ValueError(SECRET)
    log_handler_error(event("processed"), raised.value)
    name, level, text, fields = only(records)
    start = "Event hubspot/e1 was already processed when its handler raised ValueError at "
    assert text.startswith(f"{start}{__file__}:")
    assert (name, level, fields) == (
        "quill_models.events",
        "WARNING",
        of_event("processed", quill_error="ValueError"),
    )


def test_log_handler_error_without_traceback_has_no_position(
    records: pytest.LogCaptureFixture,
) -> None:
    log_handler_error(event("processed"), KeyError())
    assert only(records)[2].endswith("when its handler raised KeyError")
