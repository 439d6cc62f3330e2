"""Every error this package raises on purpose: one root, `QuillError`, and its subclasses.

Each message says what happened, to which key, and what to do next. Errors that also are a built-in
kind (`ValueError`, `TimeoutError`) subclass it too, so that ordinary ``except`` clauses keep
working. The names are in ``errors.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub("quill_models", __file__)
