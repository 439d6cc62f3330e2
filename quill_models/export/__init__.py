"""The table as files for Power BI: a star schema, partitioned by day.

Items come from a scan, from the days that are asked for, or from DynamoDB's own export to S3. They
are put in order on disk, written day by day into a folder beside the one that is there, and put in
its place whole. ``quill help export-files`` says what the files hold.
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
