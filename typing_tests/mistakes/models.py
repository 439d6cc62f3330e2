from datetime import date, datetime
from decimal import Decimal

from quill_models import (
    Agent,
    AgentStatus,
    Grain,
    Increment,
    Interaction,
    JobRun,
    Metric,
    WebhookEvent,
)


def constructors(now: datetime) -> None:
    Agent()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Agent("ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Agent(agent_id=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Agent(agent_id=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Agent(agent_id="ada", nmae="Ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Agent(agent_id="ada", status=Grain.DAY.floor)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Agent(agent_id="ada", external_ids=["1184062"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Agent(agent_id="ada", external_ids={"hubspot": 1184062})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    Agent(agent_id="ada", source_updated_at="2026-11-22")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Agent(agent_id="ada", pk="AGENT#ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Interaction(interaction_id="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Interaction(started_at=now)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Interaction(interaction_id="1", started_at=date(2026, 11, 22))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Interaction(interaction_id="1", started_at=now.timestamp())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Interaction(interaction_id="1", started_at=now, channel=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Interaction(interaction_id="1", started_at=now, duration_seconds="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Interaction(interaction_id="1", started_at=now, attributes=[("queue", "sales")])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Metric(scope="global", name="calls", grain="day", bucket_start=now)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Metric(scope="global", name="calls", grain=1, bucket_start=now, value=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Metric(scope="global", name="calls", grain="day", bucket_start=now, value="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Increment("global", "calls", "day", now, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Increment("global", "calls", "day", now, "1", "event-1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    JobRun(job_name="sync", window="w")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    WebhookEvent(source="hubspot", event_key="1", event_type="t", occurred_at=now, received_at=now)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def setting(agent: Agent, interaction: Interaction, metric: Metric, increment: Increment) -> None:
    agent.agent_id = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    agent.name = 7  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    agent.status = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    agent.status = Grain.DAY.floor  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    agent.nmae = "Ada"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    agent.external_ids = ["1184062"]  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    agent.pk = "AGENT#ada"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    agent.gsi1sk = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    interaction.started_at = "2026-11-22"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    interaction.started_at = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    interaction.duration_seconds = "3"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    metric.value = "1"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    metric.value = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    increment.amount = Decimal(2)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def reading(agent: Agent, interaction: Interaction, metric: Metric) -> None:
    agent.name.upper()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    interaction.ended_at - interaction.started_at  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnusedExpression]
    interaction.duration_seconds + 1  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnusedExpression]
    metric.value + 0.5  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]
    number: float = metric.value  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    text: str = agent.team  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    status: AgentStatus = interaction.channel  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del number, text, status


def pynamodb_habits(agent: Agent) -> None:
    Agent.nmae == "Ada"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnusedExpression]
    Agent.query()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    agent.save("attribute_exists(pk)")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
