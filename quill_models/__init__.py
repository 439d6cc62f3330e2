"""The state layer of the Quill Agent Dashboard, on one DynamoDB table.

The import loads no other module: each name loads its module on first use. ``__init__.pyi`` lists
the names.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
