"""The state layer of the Quill Agent Dashboard, on one DynamoDB table."""

from quill_models import errors
from quill_models.chunk import Prefer
from quill_models.datastore import DataStore, DynamoDataStore
from quill_models.errors import (
    AlreadyRunning,
    AlreadySucceeded,
    InvalidPayload,
    InvalidSignature,
    LeaseLost,
    PartialWriteError,
    QuillError,
    TransactionRefused,
)
from quill_models.keys import Key
from quill_models.models import (
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
from quill_models.query import Page, Query
from quill_models.quill import Quill, connect
from quill_models.repositories import Run, Transaction, Watermark
from quill_models.results import Outcome, WriteResult
from quill_models.settings import Backend, Settings

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentStatus",
    "AlreadyRunning",
    "AlreadySucceeded",
    "Backend",
    "Channel",
    "DataStore",
    "Direction",
    "DynamoDataStore",
    "EventStatus",
    "Grain",
    "Increment",
    "Interaction",
    "InvalidPayload",
    "InvalidSignature",
    "JobRun",
    "JobStatus",
    "Key",
    "LeaseLost",
    "Metric",
    "Outcome",
    "Page",
    "PartialWriteError",
    "Prefer",
    "Query",
    "Quill",
    "QuillError",
    "Run",
    "Settings",
    "Transaction",
    "TransactionRefused",
    "Watermark",
    "WebhookEvent",
    "WriteResult",
    "connect",
    "errors",
]
