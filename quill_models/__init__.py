"""The state layer of the Quill Agent Dashboard, on one DynamoDB table.

Importing it loads nothing else: each name brings its module with it when it is first asked for.
The names are in ``__init__.pyi``.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
