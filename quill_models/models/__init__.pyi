from .agent import Agent as Agent
from .agent import AgentStatus as AgentStatus
from .base import QuillModel as QuillModel
from .increment import Increment as Increment
from .indexes import INDEX_KEYS as INDEX_KEYS
from .indexes import INDEXES as INDEXES
from .interaction import Channel as Channel
from .interaction import Direction as Direction
from .interaction import Interaction as Interaction
from .job_run import JobRun as JobRun
from .job_run import JobStatus as JobStatus
from .metric import Grain as Grain
from .metric import Metric as Metric
from .registry import MODELS as MODELS
from .webhook_event import EventStatus as EventStatus
from .webhook_event import WebhookEvent as WebhookEvent

__all__: list[str]
