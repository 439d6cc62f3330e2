"""The table as code for infrastructure: the same that `Schema.apply` makes, in other words."""

from quill_models.infrastructure.exports import FORMATS, ROLES, export_schema

__all__ = ["FORMATS", "ROLES", "export_schema"]
