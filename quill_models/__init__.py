"""The state layer of the Quill Agent Dashboard, on one DynamoDB table.

Importing it loads nothing else: each name brings its module with it when it is first asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_MODULES = {
    "chunk": ("Prefer",),
    "datastore": ("DataStore", "DynamoDataStore"),
    "errors": (
        "AlreadyRunning",
        "AlreadySucceeded",
        "InvalidPayload",
        "InvalidSignature",
        "LeaseLost",
        "PartialWriteError",
        "QuillError",
        "TransactionRefused",
    ),
    "keys": ("Key",),
    "models": (
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
        "WebhookEvent",
    ),
    "query": ("Page", "Query"),
    "quill": ("Quill", "connect"),
    "repositories": ("Run", "Transaction", "Watermark"),
    "results": ("Outcome", "WriteResult"),
    "settings": ("Backend", "Settings"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

# Type checkers know the names by their imports, and would take any other for one of these.
if not TYPE_CHECKING:
    from importlib import import_module as _import_module

    def __getattr__(name: str) -> object:
        if name == "errors":
            return _import_module("quill_models.errors")
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'quill_models' has no attribute {name!r}")
        value = getattr(_import_module(f"quill_models.{_MODULE_OF[name]}"), name)
        # Found without this function from now on.
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
