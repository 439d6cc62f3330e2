"""DynamoDB's own export to S3, read from a local copy, without read units.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

from quill_models.dynamodb.items import PK, SK, RawItem, is_live
from quill_models.values.clock import aware_utc
from quill_models.values.errors import InvalidExport
from quill_models.values.keys import time_text

__all__ = ["S3Export"]

_SUMMARY, _FILES, _DATA = "manifest-summary.json", "manifest-files.json", "data"
_ROOT, _FULL = "AWSDynamoDB", "FULL_EXPORT"
_COPY_AGAIN = "Copy the folder from S3 again."
# Unlike `Path.is_file`, it raises no error if a name is invalid or a folder cannot be read.
_exists = os.path.isfile
# The errors of reading a file that is incomplete or was not written by DynamoDB.
_UNREADABLE = (
    *(OSError, EOFError, zlib.error, RecursionError),
    *(ValueError, KeyError, TypeError, AttributeError),
)


class _DataFile(NamedTuple):
    path: Path
    items: int
    md5: str


@dataclass(frozen=True)
class S3Export:
    """A full export in the format ``DYNAMODB_JSON``.

    Attributes:
        origin: Its description in the manifest of quill's export.
        time: Time of the exported state of the table.
        count: Number of items of all kinds.
    """

    origin: dict[str, Any]
    time: datetime
    count: int
    _files: tuple[_DataFile, ...]

    @classmethod
    def found_in(cls, folder: Path) -> Self:
        """Return the export in a folder, which can also contain ``AWSDynamoDB``.

        Raises:
            InvalidExport: The folder has no export or several; the export is not a full one in
                ``DYNAMODB_JSON``; a file is missing, or the counts in its manifests differ.
        """
        folder = _folder_of(folder)
        summary = _lines_of(folder / _SUMMARY, one_object=True)[0]
        _check_kind(folder, summary)
        lines = _lines_of(folder / _FILES)
        try:
            files = tuple(
                _DataFile(
                    folder / _DATA / PurePosixPath(line["dataFileS3Key"]).name,
                    int(line["itemCount"]),
                    line["md5Checksum"],
                )
                for line in lines
            )
            time = aware_utc(datetime.fromisoformat(summary["exportTime"]), "exportTime")
            origin = {
                "kind": "s3-export",
                "table": str(summary["tableArn"]),
                "export": str(summary["exportArn"]).rpartition("/")[2],
                "time": time_text(time),
            }
            count = int(summary["itemCount"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            problem = f"{folder} has invalid manifests ({type(error).__name__}: {error})."
            raise InvalidExport(f"{problem} {_COPY_AGAIN}") from error
        items = sum(file.items for file in files)
        if items != count:
            problem = f"{folder / _FILES} lists {items:,} items, but {_SUMMARY} {count:,}."
            raise InvalidExport(f"{problem} {_COPY_AGAIN}")
        missing = [file.path.name for file in files if not _exists(file.path)]
        if missing:
            names = f"{', '.join(missing[:3])}{'…' if missing[3:] else ''}"
            problem = f"{folder / _DATA} lacks {len(missing)} of {len(files)} data files"
            raise InvalidExport(f"{problem}: {names}. {_COPY_AGAIN}")
        return cls(origin, time, count, files)

    def items(self) -> Iterator[RawItem]:
        """Yield all items that had not expired at the time of the export.

        Raises:
            InvalidExport: A file is truncated or was changed.
        """
        for file in self._files:
            _check_content(file)
            yield from _items_of(file, self.time)


def _folder_of(given: Path) -> Path:
    for folder in (given, given / _ROOT):
        if _exists(folder / _SUMMARY):
            return folder
        exports = sorted(summary.parent for summary in folder.glob(f"*/{_SUMMARY}"))
        if len(exports) == 1:
            return exports[0]
        if exports:
            names = ", ".join(export.name for export in exports)
            raise InvalidExport(f"{folder} contains {len(exports)} exports: {names}. Choose one.")
    raise InvalidExport(
        f"{given} contains no {_SUMMARY}. Wait until the export is complete, copy it with 'aws s3 "
        f"sync', and give that folder: {_ROOT}/…, with manifests and data."
    )


def _lines_of(path: Path, *, one_object: bool = False) -> list[dict[str, Any]]:
    """Return the JSON objects of a manifest: one per line, or one for the complete file."""
    try:
        text = path.read_text(encoding="utf-8")
        texts = [text] if one_object else text.splitlines()
        lines = [json.loads(each) for each in texts if each.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidExport(f"{path} cannot be read: {error}. Copy it from S3 again.") from error
    if not all(isinstance(line, dict) for line in lines) or (one_object and not lines):
        raise InvalidExport(f"{path} is not a manifest of an export. Copy it from S3 again.")
    return lines


def _check_kind(folder: Path, summary: dict[str, Any]) -> None:
    # Exports from the time before incremental ones have no type.
    export_type, output_format = summary.get("exportType", _FULL), summary.get("outputFormat")
    if export_type != _FULL:
        raise InvalidExport(
            f"The export in {folder} has the type {export_type}, expected {_FULL}. Create one "
            f"with --export-type {_FULL}. For single days, use --since and --until on the table."
        )
    if output_format != "DYNAMODB_JSON":
        raise InvalidExport(
            f"The export in {folder} has the format {output_format}, expected DYNAMODB_JSON. "
            "Create one with --export-format DYNAMODB_JSON."
        )


def _check_content(file: _DataFile) -> None:
    """Compare a file's MD5 with its manifest."""
    try:
        with file.path.open("rb") as content:
            digest = hashlib.file_digest(content, partial(hashlib.md5, usedforsecurity=False))
    except OSError as error:
        raise InvalidExport(f"{file.path} cannot be read: {error}. Fix the cause.") from error
    if base64.b64encode(digest.digest()).decode() != file.md5:
        raise InvalidExport(
            f"{file.path} is truncated or was changed: its MD5 differs from {_FILES}. "
            "Copy it from S3 again."
        )


def _items_of(file: _DataFile, time: datetime) -> Iterator[RawItem]:
    """Yield a file's items that had not expired at a time, and check the number of all items."""
    number = 0
    try:
        with gzip.open(file.path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                item: RawItem = json.loads(line)["Item"]
                if not _has_keys(item):
                    raise InvalidExport(
                        f"The item at line {number} of {file.path} has no pk and sk, so the export "
                        "is not of a table of quill-models. Choose another export."
                    )
                if is_live(item, time):
                    yield item
    except _UNREADABLE as error:
        if isinstance(error, InvalidExport):
            raise
        raise InvalidExport(
            f"{file.path}, line {number}, is not an item ({type(error).__name__}: {error}). "
            "Create a new export."
        ) from error
    if number != file.items:
        raise InvalidExport(
            f"{file.path} contains {number:,} items, but {_FILES} lists {file.items:,}. "
            "Copy it from S3 again."
        )


def _has_keys(item: RawItem) -> bool:
    """Return whether an item has this table's keys. Other programs' items have nothing else."""
    if not all(isinstance(value, dict) for value in item.values()):
        raise TypeError("an attribute has no type")
    return all("S" in item.get(name, ()) for name in (PK, SK))
