"""DynamoDB's own export to S3, read from a folder that it was copied to, at no read units.

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
_ABOVE, _FULL = "AWSDynamoDB", "FULL_EXPORT"
_COPY_AGAIN = "Copy the folder from S3 again."
# Unlike `Path.is_file` no error where the name cannot exist, or its folder cannot be read.
_is_there = os.path.isfile
# What files that were no DynamoDB's, or did not come whole, make of the reading.
_NO_ITEMS = (
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
        described: what the manifest of our own export says of it.
        time: the moment of the table that it shows.
        count: how many items there are, of whatever kind.
    """

    described: dict[str, Any]
    time: datetime
    count: int
    _files: tuple[_DataFile, ...]

    @classmethod
    def found_in(cls, folder: Path) -> Self:
        """The export in a folder: its own, or the one that ``AWSDynamoDB`` was copied to.

        Raises:
            InvalidExport: there is none, or more than one; it is not a full one in
                ``DYNAMODB_JSON``; a file is missing, or the counts of its manifests differ.
        """
        folder = _folder_of(folder)
        summary = _lines_of(folder / _SUMMARY, whole=True)[0]
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
            described = {
                "kind": "s3-export",
                "table": str(summary["tableArn"]),
                "export": str(summary["exportArn"]).rpartition("/")[2],
                "time": time_text(time),
            }
            count = int(summary["itemCount"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            wrong = f"The manifests in {folder} are not those of an export: {error!r}."
            raise InvalidExport(f"{wrong} {_COPY_AGAIN}") from error
        items = sum(file.items for file in files)
        if items != count:
            wrong = f"{folder / _FILES} names {items:,} items, and {_SUMMARY} {count:,}."
            raise InvalidExport(f"{wrong} {_COPY_AGAIN}")
        missing = [file.path.name for file in files if not _is_there(file.path)]
        if missing:
            names = f"{', '.join(missing[:3])}{'…' if missing[3:] else ''}"
            wrong = f"Of the {len(files)} data files {len(missing)} are missing in {folder / _DATA}"
            raise InvalidExport(f"{wrong}: {names}. {_COPY_AGAIN}")
        return cls(described, time, count, files)

    def items(self) -> Iterator[RawItem]:
        """All items that had not expired at the time of the export.

        Raises:
            InvalidExport: a file was cut or altered.
        """
        for file in self._files:
            _check_content(file)
            yield from _items_of(file, self.time)


def _folder_of(given: Path) -> Path:
    for above in (given, given / _ABOVE):
        if _is_there(above / _SUMMARY):
            return above
        exports = sorted(summary.parent for summary in above.glob(f"*/{_SUMMARY}"))
        if len(exports) == 1:
            return exports[0]
        if exports:
            names = ", ".join(export.name for export in exports)
            raise InvalidExport(f"{above} holds {len(exports)} exports: {names}. Name one of them.")
    raise InvalidExport(
        f"There is no {_SUMMARY} in {given}. Give the folder that 'aws s3 sync' copied an export "
        f"to: {_ABOVE}/…, with its manifests and its data. An export that is still being made has "
        "none yet."
    )


def _lines_of(path: Path, *, whole: bool = False) -> list[dict[str, Any]]:
    """The JSON objects of a manifest: one a line, or the one that is the whole file."""
    try:
        text = path.read_text(encoding="utf-8")
        texts = [text] if whole else text.splitlines()
        lines = [json.loads(each) for each in texts if each.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidExport(f"{path} cannot be read: {error}. Copy it from S3 again.") from error
    if not all(isinstance(line, dict) for line in lines) or (whole and not lines):
        raise InvalidExport(f"{path} is no manifest of an export. Copy it from S3 again.")
    return lines


def _check_kind(folder: Path, summary: dict[str, Any]) -> None:
    # Exports from before there were incremental ones do not say of which type they are.
    export_type, output_format = summary.get("exportType", _FULL), summary.get("outputFormat")
    if export_type != _FULL:
        raise InvalidExport(
            f"The export in {folder} is of the type {export_type}: it holds changes, not the "
            "table. Make one with --export-type FULL_EXPORT; for single days use --since and "
            "--until on the table itself."
        )
    if output_format != "DYNAMODB_JSON":
        raise InvalidExport(
            f"The export in {folder} is in the format {output_format}. Make one with "
            "--export-format DYNAMODB_JSON."
        )


def _check_content(file: _DataFile) -> None:
    """Compare the file's MD5, which S3 keeps, before anything is made of it."""
    try:
        with file.path.open("rb") as content:
            digest = hashlib.file_digest(content, partial(hashlib.md5, usedforsecurity=False))
    except OSError as error:
        raise InvalidExport(f"{file.path} cannot be read: {error}.") from error
    if base64.b64encode(digest.digest()).decode() != file.md5:
        raise InvalidExport(
            f"{file.path} was cut or altered: its MD5 is not the one in {_FILES}. "
            "Copy it from S3 again."
        )


def _items_of(file: _DataFile, time: datetime) -> Iterator[RawItem]:
    """Those that had not expired at a time; the others count."""
    number = 0
    try:
        with gzip.open(file.path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                item: RawItem = json.loads(line)["Item"]
                if not _is_ours(item):
                    raise InvalidExport(
                        f"The item at line {number} of {file.path} has no pk and sk: the export "
                        "is of another table. Take the one of the table of quill-models."
                    )
                if is_live(item, time):
                    yield item
    except _NO_ITEMS as error:
        if isinstance(error, InvalidExport):
            raise
        raise InvalidExport(
            f"{file.path} is no file of items, at line {number}: {error!r}. Make a new export."
        ) from error
    if number != file.items:
        raise InvalidExport(
            f"{file.path} holds {number:,} items, and {_FILES} says {file.items:,}. "
            "Copy it from S3 again."
        )


def _is_ours(item: RawItem) -> bool:
    """Whether it has our keys, which is all that is known of what others store in our table."""
    if not all(isinstance(value, dict) for value in item.values()):
        raise TypeError("an attribute has no type")
    return all("S" in item.get(name, ()) for name in (PK, SK))
