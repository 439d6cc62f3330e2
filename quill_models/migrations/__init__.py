"""Migrations: what is changed in a table that is in use, once and in order.

The migrations themselves are numbered modules in the folder ``migrations`` of the project, and in
``numbered`` here where the package is installed.
"""

from quill_models.migrations.backfill import Progress
from quill_models.migrations.catalog import Migration, write_new
from quill_models.migrations.history import Applied
from quill_models.migrations.migrator import Migrations, Standing, State
from quill_models.migrations.step import Listener, Step

__all__ = [
    "Applied",
    "Listener",
    "Migration",
    "Migrations",
    "Progress",
    "Standing",
    "State",
    "Step",
    "write_new",
]
