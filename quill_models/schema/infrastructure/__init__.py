"""The table as code for infrastructure: the same that `Schema.apply` makes, in other words."""

from quill_models.schema.infrastructure.exports import FORMATS, export_schema
from quill_models.schema.infrastructure.iam import ROLES

__all__ = ["FORMATS", "ROLES", "export_schema"]
