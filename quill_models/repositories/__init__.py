"""The repositories: what ETL code calls."""

from quill_models.repositories.agents import Agents
from quill_models.repositories.interactions import Interactions
from quill_models.repositories.job_runs import JobRuns
from quill_models.repositories.metrics import Metrics
from quill_models.repositories.run import Run
from quill_models.repositories.transaction import Transaction
from quill_models.repositories.watermark import Watermark
from quill_models.repositories.webhook_events import WebhookEvents

__all__ = [
    "Agents",
    "Interactions",
    "JobRuns",
    "Metrics",
    "Run",
    "Transaction",
    "Watermark",
    "WebhookEvents",
]
