"""All errors of this package: the root `QuillError` and its subclasses.

A message names the object by its key, what happened, and the next step. An error also subclasses a
built-in class if one fits (`ValueError`, `TimeoutError`), for ordinary ``except`` clauses.
``errors.pyi`` lists the names.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub("quill_models", __file__)
