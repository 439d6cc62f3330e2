"""The table as files for Power BI: a star schema, partitioned by day.

Items come from a scan, from the lists of single days, or from DynamoDB's own export to S3. They are
sorted on disk, written day by day into a staging folder, and committed together. ``quill help
export-files`` describes the files.
"""

from quill_models.export.exporting import Exported, export_files, export_from_s3
from quill_models.export.inputs import DEFAULT_SEGMENTS
from quill_models.export.writers import Format
from quill_models.models.star_schema import SCHEMA_VERSION, TABLES, Column, StarTable, Type
from quill_models.reads.parallel_scan import Progress

__all__ = [
    "DEFAULT_SEGMENTS",
    "SCHEMA_VERSION",
    "TABLES",
    "Column",
    "Exported",
    "Format",
    "Progress",
    "StarTable",
    "Type",
    "export_files",
    "export_from_s3",
]
