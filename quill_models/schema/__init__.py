"""The life of the table's schema: declared, compared with the live table, applied."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
