from .agents import Agents as Agents
from .datastore import DynamoDataStore as DynamoDataStore
from .interactions import Interactions as Interactions
from .job_runs import JobRuns as JobRuns
from .metrics import Metrics as Metrics
from .run import Run as Run
from .transaction import Transaction as Transaction
from .watermark import Watermark as Watermark
from .webhook_events import WebhookEvents as WebhookEvents

__all__: list[str]
