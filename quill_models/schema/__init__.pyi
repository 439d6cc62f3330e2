from .declared import Declared as Declared
from .declared import declared_table as declared_table
from .differences import Change as Change
from .differences import Difference as Difference
from .infrastructure import export_schema as export_schema
from .schema import Schema as Schema
from .schema import SchemaDiff as SchemaDiff

__all__: list[str]
