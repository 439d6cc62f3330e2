"""Exports from a DynamoDB export to S3 that a test makes up, and what came of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.s3_export import line_of, write_export
from quill_models.export import Exported, export_from_s3
from quill_models.models import QuillModel
from tests.unit.examples import NOON


def s3_export(folder: Path, models: Iterable[QuillModel], **given: Any) -> Path:
    """An export to S3 of these models, as it would be stored."""
    lines = []
    for model in models:
        model.created_at = model.updated_at = NOON
        lines.append(line_of(model.to_item(4)))
    write_export(folder, lines, **given)
    return folder


def exported(folder: Path, out: Path, models: Iterable[QuillModel], **given: Any) -> Exported:
    """What an export of these models gives."""
    count = len(list(folder.iterdir())) if folder.exists() else 0
    return export_from_s3(s3_export(folder / f"{count}", models), out, **given)


def files_in(out: Path) -> set[str]:
    """All files of the export, and nothing of the ways it is made by."""
    return {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and path.name != ".export-lock"
    }


def contents(out: Path) -> dict[str, str]:
    """Each file with what tells its content from another."""
    return {file: hashlib.sha256((out / file).read_bytes()).hexdigest() for file in files_in(out)}


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found
