from datetime import datetime
from decimal import Decimal
from typing import Any, assert_type

from pynamodb.expressions.condition import (
    Between,
    Comparison,
    Condition,
    Exists,
    In,
    NotExists,
)
from pynamodb.pagination import ResultIterator

from quill_models import (
    Agent,
    AgentStatus,
    Channel,
    Direction,
    EventStatus,
    Grain,
    Increment,
    Interaction,
    JobRun,
    JobStatus,
    Metric,
    WebhookEvent,
)
from quill_models.models.attributes import Choice, StrictAttribute, Text


def constructors(now: datetime) -> None:
    assert_type(Agent(agent_id="ada"), Agent)
    assert_type(Agent(agent_id="ada", status="active", external_ids={"hubspot": "1"}), Agent)
    assert_type(Agent(agent_id="ada", status=AgentStatus.INACTIVE, source_updated_at=now), Agent)
    Interaction(
        interaction_id="1",
        started_at=now,
        channel="call",
        direction=Direction.INBOUND,
        duration_seconds=3,
        attributes={"queue": ["a", 1, None]},
    )
    Interaction(interaction_id="1", started_at=now, duration_seconds=Decimal("1.5"))
    Metric(scope="global", name="calls", grain="day", bucket_start=now, value=0.1)
    Increment("global", "calls", "day", now, 1, "event-1")
    Increment(scope="global", name="calls", grain=Grain.DAY, at=now, amount=1, event_key="1")
    WebhookEvent(
        source="hubspot",
        event_key="1",
        event_type="contact.creation",
        occurred_at=now,
        received_at=now,
        payload={"objectId": 7},
    )


def agent(agent: Agent) -> None:
    assert_type(agent.agent_id, str)
    assert_type(agent.name, str | None)
    assert_type(agent.email, str | None)
    assert_type(agent.team, str | None)
    assert_type(agent.status, AgentStatus)
    assert_type(agent.external_ids, dict[str, str])
    assert_type(agent.source_updated_at, datetime | None)


def interaction(interaction: Interaction) -> None:
    assert_type(interaction.interaction_id, str)
    assert_type(interaction.source, str | None)
    assert_type(interaction.channel, Channel)
    assert_type(interaction.direction, Direction | None)
    assert_type(interaction.started_at, datetime)
    assert_type(interaction.ended_at, datetime | None)
    assert_type(interaction.duration_seconds, Decimal | None)
    assert_type(interaction.attributes, dict[str, Any])


def metric(metric: Metric, increment: Increment) -> None:
    assert_type(metric.grain, Grain)
    assert_type(metric.value, Decimal)
    assert_type(metric.unit, str | None)
    assert_type(metric.dimensions, dict[str, Any])
    assert_type(metric.bucket_start, datetime)
    assert_type(increment.amount, Decimal)
    assert_type(increment.grain, Grain)
    assert_type(increment.bucket_start, datetime)


def job_run(run: JobRun) -> None:
    assert_type(run.status, JobStatus)
    assert_type(run.attempt, int)
    assert_type(run.fencing_token, int)
    assert_type(run.lease_expires_at, datetime)
    assert_type(run.finished_at, datetime | None)
    assert_type(run.checkpoint, dict[str, Any])
    assert_type(run.error, dict[str, Any] | None)


def webhook_event(event: WebhookEvent) -> None:
    assert_type(event.status, EventStatus)
    assert_type(event.attempts, int)
    assert_type(event.payload, dict[str, Any])
    assert_type(event.digest, str)
    assert_type(event.object_id, str | None)
    assert_type(event.last_error, str | None)


def stored_beside(agent: Agent) -> None:
    assert_type(agent.pk, str)
    assert_type(agent.gsi1pk, str | None)
    assert_type(agent.created_at, datetime | None)
    assert_type(agent.ttl, datetime | None)


def setting(agent: Agent, interaction: Interaction, metric: Metric) -> None:
    # Whatever the constructor takes.
    agent.status = "inactive"
    agent.status = AgentStatus.INACTIVE
    agent.name = None
    interaction.direction = "inbound"
    interaction.direction = None
    interaction.duration_seconds = 2.5
    metric.value = 3
    metric.value = Decimal("0.1")


def pynamodb_habits(agent: Agent, now: datetime) -> None:
    assert_type(Agent.agent_id, Text)
    assert_type(Agent.name, StrictAttribute[str | None, str | None])
    assert_type(Agent.status, Choice[AgentStatus])
    assert_type(Agent.name == "Ada", Comparison)
    assert_type(Agent.team.exists(), Exists)
    assert_type(Agent.email.does_not_exist(), NotExists)
    assert_type(Interaction.started_at.between(now, now), Between)
    assert_type(Agent.team.is_in("north", "south"), In)
    both: Condition = Agent.team.exists() & (Agent.status == AgentStatus.ACTIVE)
    assert_type(Agent.query(agent.pk, filter_condition=both), ResultIterator[Agent])
    assert_type(Agent.get(agent.pk, agent.sk), Agent)
    assert_type(agent.save(both), dict[str, Any])
