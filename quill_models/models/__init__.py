"""The models of the one table."""

from quill_models.models.agent import Agent, AgentStatus
from quill_models.models.base import QuillModel
from quill_models.models.increment import Increment
from quill_models.models.indexes import INDEXES
from quill_models.models.interaction import Channel, Direction, Interaction
from quill_models.models.job_run import JobRun, JobStatus
from quill_models.models.metric import Grain, Metric
from quill_models.models.webhook_event import EventStatus, WebhookEvent

__all__ = [
    "INDEXES",
    "MODELS",
    "Agent",
    "AgentStatus",
    "Channel",
    "Direction",
    "EventStatus",
    "Grain",
    "Increment",
    "Interaction",
    "JobRun",
    "JobStatus",
    "Metric",
    "QuillModel",
    "WebhookEvent",
]

MODELS: dict[str, type[QuillModel]] = {
    model.KIND: model for model in (Agent, Interaction, Metric, JobRun, WebhookEvent)
}
"""The models by their kind."""
