"""Migrations: numbered changes to a table in use, each applied once and in order."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
