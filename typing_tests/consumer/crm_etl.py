"""Takes agents and calls from a CRM and webhooks from HubSpot, and counts what was handled.

Safe to run again, in whole or in part, and from several processes at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from quill_models import (
    Agent,
    AlreadyRunning,
    AlreadySucceeded,
    EventStatus,
    Grain,
    Increment,
    Interaction,
    InvalidPayload,
    Key,
    Metric,
    Outcome,
    PartialWriteError,
    Quill,
    WebhookEvent,
    WriteResult,
    hubspot,
)

log = logging.getLogger(__name__)

SOURCE = "crm"


class AgentRow(TypedDict):
    """As the CRM exports it."""

    id: str
    name: str
    team: str | None
    hubspot_owner: str | None
    changed: datetime


class CallRow(TypedDict):
    """As the CRM exports it."""

    id: str
    owner: str
    customer: str
    begun: datetime
    seconds: int


@dataclass(frozen=True)
class Loaded:
    """What a load did."""

    created: int
    known: int
    conflicts: list[str]


def load_agents(quill: Quill, rows: Iterable[AgentRow]) -> dict[Outcome, int]:
    """Put the agents of a CRM export into the table."""
    agents = [
        Agent(
            agent_id=row["id"],
            name=row["name"],
            team=row["team"],
            external_ids={"hubspot": row["hubspot_owner"]} if row["hubspot_owner"] else {},
            source_updated_at=row["changed"],
        )
        for row in rows
    ]
    counts: dict[Outcome, int] = {}
    for result in quill.agents.put_many(agents):
        counts[result.outcome] = counts.get(result.outcome, 0) + 1
    return counts


def _calls(rows: Iterable[CallRow]) -> Iterator[Interaction]:
    for row in rows:
        yield Interaction(
            interaction_id=f"{SOURCE}-{row['id']}",
            source=SOURCE,
            external_id=row["id"],
            agent_id=row["owner"],
            contact_id=row["customer"],
            channel="call",
            direction="inbound",
            started_at=row["begun"],
            ended_at=row["begun"] + timedelta(seconds=row["seconds"]),
            duration_seconds=row["seconds"],
        )


def load_calls(quill: Quill, window: str, rows: list[CallRow]) -> Loaded | None:
    """Record the calls of one window, once. ``None`` where that is done or someone does it."""
    try:
        with quill.job_runs.start("load-calls", window=window) as run:
            first = int(run.checkpoint.get("done", 0))
            created = known = 0
            conflicts: list[str] = []
            results = quill.interactions.iter_record_many(_calls(rows[first:]))
            for number, result in enumerate(results, first + 1):
                created += result.created
                known += result.outcome is Outcome.DUPLICATE
                if result.outcome is Outcome.CONFLICT:
                    conflicts.append(result.item.interaction_id)
                if number % 100 == 0:
                    run.save_checkpoint({"done": number})
            if rows:
                latest = max(row["begun"] for row in rows)
                quill.job_runs.watermark("load-calls", SOURCE).advance(latest, run=run)
            run.stats["created"] = created
            return Loaded(created, known, conflicts)
    except AlreadySucceeded as done:
        log.info("%s was done at %s", done.run.window, done.run.finished_at)
    except AlreadyRunning as running:
        log.info("%s is done by %s", running.run.window, running.run.owner)
    except PartialWriteError as stopped:
        log.warning("%d calls may be missing; run it again", len(stopped.pending))
        raise
    return None


def take_in(quill: Quill, body: bytes) -> list[WriteResult[WebhookEvent]]:
    """Remember a delivery of HubSpot's; an empty list where it is not one."""
    try:
        return quill.webhook_events.record_many(hubspot.parse(body))
    except InvalidPayload as error:
        log.warning("refused at %s: %s", error.position, error.reason)
        return []


def work(quill: Quill) -> int:
    """Count each event that waits, and note it, both or neither; how many there were."""

    def handle(event: WebhookEvent) -> None:
        with quill.transaction() as tx:
            tx.metrics.add(
                Increment("global", "events", Grain.HOUR, event.occurred_at, 1, event.event_key)
            )
            tx.interactions.record(
                Interaction(
                    interaction_id=f"hubspot-{event.event_key}",
                    contact_id=event.object_id,
                    channel="note",
                    started_at=event.occurred_at,
                    subject=event.event_type,
                )
            )
            tx.webhook_events.complete(event)

    return quill.webhook_events.process(hubspot.SOURCE, handle, until_empty=True).completed


def set_talk_time(quill: Quill, agent_id: str, day: datetime) -> Metric:
    """Compute an agent's talk time of one UTC day from what is stored, and store it."""
    start = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    calls = quill.interactions.list_by_agent(agent_id, since=start, until=start + timedelta(days=1))
    seconds = sum(call.duration_seconds or 0 for call in calls)
    result = quill.metrics.put(
        Metric(
            scope=f"agent:{agent_id}",
            name="talk-time",
            grain=Grain.DAY,
            bucket_start=start,
            value=seconds,
            unit="seconds",
        )
    )
    return result.item


def announce(quill: Quill, day: datetime) -> bool:
    """Whether this process is the one to send the report of a day."""
    return quill.store.check_and_mark(Key("report", f"{day:%Y-%m-%d}"), timedelta(days=2))


def pages_of_team(quill: Quill, team: str, size: int) -> Iterator[list[str]]:
    """The names of a team's agents, a page at a time, as a web page would ask for them."""
    cursor: str | None = None
    while True:
        page = quill.agents.list_by_team(team).page(size, cursor)
        yield [agent.name or agent.agent_id for agent in page.items]
        cursor = page.cursor
        if cursor is None:
            return


def overview(quill: Quill) -> dict[str, object]:
    """What an operator looks at."""
    success = quill.job_runs.last_success("load-calls")
    return {
        "last success": success.finished_at if success is not None else None,
        "came to": quill.job_runs.watermark("load-calls", SOURCE).value,
        "dead events": quill.webhook_events.list_by_status(
            hubspot.SOURCE, EventStatus.DEAD
        ).count(),
        "stale": [run.window for run in quill.job_runs.stale()],
    }
