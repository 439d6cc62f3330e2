"""Generated DynamoDB exports to S3, and quill's exports of them."""

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
    """Write an export to S3 of some models."""
    lines = []
    for model in models:
        model.created_at = model.updated_at = NOON
        lines.append(line_of(model.to_item(4)))
    write_export(folder, lines, **given)
    return folder


def exported(folder: Path, out: Path, models: Iterable[QuillModel], **given: Any) -> Exported:
    """Export some models by way of an export to S3."""
    count = len(list(folder.iterdir())) if folder.exists() else 0
    return export_from_s3(s3_export(folder / f"{count}", models), out, **given)


def files_in(out: Path) -> set[str]:
    """Return all files in the folder except the lock."""
    return {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and path.name != ".export-lock"
    }


def contents(out: Path) -> dict[str, str]:
    """Return a digest of each file."""
    return {file: hashlib.sha256((out / file).read_bytes()).hexdigest() for file in files_in(out)}


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found
