"""Items of every kind, with similar identities, and many unrelated items."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from quill_models import Agent, Interaction, JobRun, Metric, WebhookEvent
from tests.local_dynamo.support import DAY, HOUR, MINUTE, NOON

__all__ = ["CONFUSABLE", "agents", "events", "interactions", "job_runs", "metrics"]

CONFUSABLE = ["1", "10", "a", "a#b", "a%23b", "a b", "ü", "\N{OWL}", "x" * 300]
# A few are enough, because the server counts each item that it reads.
FILLER = 50
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MIDNIGHT = NOON.replace(hour=0)


def agents() -> Iterator[Agent]:
    for name in CONFUSABLE:
        for number in range(3):
            yield Agent(
                agent_id=name if number == 0 else f"{name}/{number}",
                name=f"{'cab'[number]} {name}",
                team=name,
                external_ids={f"source {name}": f"{name}{number}"},
                status="inactive",
            )
    for number in range(FILLER):
        yield Agent(agent_id=f"filler {number}", name=f"F{number:04d}", team="filler")


def interactions() -> Iterator[Interaction]:
    for name in CONFUSABLE:
        for number in range(5):
            yield Interaction(
                interaction_id=f"{name}-{number}" if number else name,
                source=f"source {name}",
                external_id=f"{name}{number}",
                agent_id=name,
                contact_id=name,
                channel="call",
                # Another order than that of the writes.
                started_at=NOON + (number * 7 % 5) * MINUTE,
            )
    for number in range(FILLER):
        yield Interaction(
            interaction_id=f"filler {number}",
            agent_id=f"filler {number % 10}",
            contact_id=f"filler {number % 10}",
            started_at=NOON + DAY + number * MINUTE / 10,
        )


def metrics() -> Iterator[Metric]:
    for name in CONFUSABLE:
        for number in range(4):
            for scope in (f"agent:{name}", f"team:{name}"):
                yield Metric(
                    scope=scope,
                    name=name,
                    grain="hour",
                    bucket_start=NOON + number * HOUR,
                    value=number,
                )
    for number in range(FILLER):
        yield Metric(
            scope=f"agent:filler {number % 10}",
            name="filler",
            grain="day",
            bucket_start=MIDNIGHT + number // 10 * DAY,
            value=1,
        )


def job_runs() -> Iterator[JobRun]:
    statuses = ("running", "succeeded", "succeeded", "failed", "cancelled")
    for which, name in enumerate(CONFUSABLE):
        for number, status in enumerate(statuses):
            started = NOON + (number * 7 % 5) * MINUTE + which * timedelta(seconds=1)
            yield JobRun(
                job_name=name,
                window=f"{name}{number}",
                run_id="0",
                owner="somewhere",
                status=status,
                started_at=started,
                lease_expires_at=LONG_AGO - which * HOUR,
                finished_at=None if status == "running" else started + HOUR,
            )
    for number in range(FILLER):
        yield JobRun(
            job_name=f"filler {number % 7}",
            window=str(number),
            run_id="0",
            owner="somewhere",
            status="succeeded",
            started_at=NOON + number * MINUTE,
            lease_expires_at=NOON,
            finished_at=NOON + number * MINUTE,
        )


def events() -> Iterator[WebhookEvent]:
    for name in CONFUSABLE:
        for status in ("pending", "processing", "processed", "failed", "dead"):
            for number in range(3):
                yield WebhookEvent(
                    source=name,
                    event_key=f"{status}{number}",
                    event_type="contact.creation",
                    object_type=name,
                    object_id=name,
                    occurred_at=NOON + (number * 5 % 3) * MINUTE + len(status) * HOUR,
                    received_at=NOON + (number * 7 % 3) * MINUTE,
                    payload={"number": number},
                    status=status,
                )
    for number in range(FILLER):
        yield WebhookEvent(
            source="filler",
            event_key=str(number),
            event_type="contact.creation",
            object_type="contact",
            object_id=str(number % 10),
            occurred_at=NOON + number * MINUTE,
            received_at=NOON,
            payload={},
        )
