"""The life of the table's schema: declared, compared with the live table, applied."""

from quill_models.schema.declared import Declared, declared_table
from quill_models.schema.differences import Change, Difference
from quill_models.schema.schema import Schema, SchemaDiff

__all__ = ["Change", "Declared", "Difference", "Schema", "SchemaDiff", "declared_table"]
