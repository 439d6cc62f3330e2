"""The models by their kind."""

from __future__ import annotations

from quill_models.models.agent import Agent
from quill_models.models.base import QuillModel
from quill_models.models.interaction import Interaction
from quill_models.models.job_run import JobRun
from quill_models.models.metric import Metric
from quill_models.models.webhook_event import WebhookEvent

__all__ = ["MODELS"]

MODELS: dict[str, type[QuillModel]] = {
    model.KIND: model for model in (Agent, Interaction, Metric, JobRun, WebhookEvent)
}
"""The models by their kind."""
