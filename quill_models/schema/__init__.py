"""The schema of the table: declared, compared with the live table, and applied."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
