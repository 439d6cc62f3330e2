"""DynamoDB's export to S3 as an input."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.s3_export import (
    EXPORT_ID,
    EXPORT_TIME,
    line_of,
    lines_of_table,
    md5_of,
    write_export,
)
from quill_models.errors import InvalidExport
from quill_models.export import export_from_s3
from quill_models.export.s3_export import S3Export
from tests.unit.examples import agent, metric

from .folders import s3_export


@pytest.fixture
def s3(tmp_path: Path) -> Path:
    return s3_export(tmp_path / "s3", [agent(agent_id=str(number)) for number in range(10)])


def export_of(s3: Path) -> Path:
    return s3 / "AWSDynamoDB" / EXPORT_ID


def data_files(s3: Path) -> list[Path]:
    return sorted((export_of(s3) / "data").iterdir())


@pytest.mark.parametrize("given", ["", "AWSDynamoDB", f"AWSDynamoDB/{EXPORT_ID}"])
def test_found_in_export_or_parent_folder_finds_export(s3: Path, given: str) -> None:
    found = S3Export.found_in(s3 / given)
    assert found.origin["export"] == EXPORT_ID
    assert found.time == EXPORT_TIME
    assert found.count == 10
    assert sorted(item["agent_id"]["S"] for item in found.items()) == sorted("0123456789")


def test_found_in_bucket_prefix_is_ignored(s3: Path) -> None:
    manifest = export_of(s3) / "manifest-files.json"
    manifest.write_text(manifest.read_text().replace('"AWSDynamoDB/', '"2026/Nov/AWSDynamoDB/'))
    assert len(list(S3Export.found_in(s3).items())) == 10


def test_items_empty_partitions_yield_nothing(tmp_path: Path) -> None:
    s3 = s3_export(tmp_path, [metric()], files=5)
    assert len(list(S3Export.found_in(s3).items())) == 1


def test_items_expired_at_export_time_are_omitted(tmp_path: Path) -> None:
    items = [
        {**metric(value=number).to_item(4), "ttl": {"N": f"{EXPORT_TIME.timestamp() + number:.0f}"}}
        for number in (-1, 0, 1)
    ]
    write_export(tmp_path, map(line_of, items))
    assert [item["value"]["N"] for item in S3Export.found_in(tmp_path).items()] == ["1"]


def test_export_generated_table_writes_every_kind(tmp_path: Path) -> None:
    count = 2_100
    assert write_export(tmp_path / "s3", lines_of_table(count)) == count
    done = export_from_s3(tmp_path / "s3", tmp_path / "out")
    # Four of 21 items are claims, which no table contains.
    assert done.rows == {
        "dim_agent": 100,
        "fact_interaction": 400,
        "fact_metric": 200,
        "fact_job_run": 100,
        "fact_webhook_event": 900,
    }
    days = {file["day"] for file in done.manifest["tables"]["fact_webhook_event"]["files"]}
    assert len(days) == 30


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replaced(path: Path) -> None:
    path.write_bytes(gzip.compress(line_of(agent().to_item(4))))


@pytest.mark.parametrize("damage", [cut, altered, replaced, Path.unlink])
def test_export_damaged_data_file_raises(
    s3: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    out = tmp_path / "out"
    export_from_s3(s3, out)
    before = (out / "manifest.json").read_bytes()
    damage(data_files(s3)[1])
    with pytest.raises(InvalidExport, match=r"(is truncated or was changed|lacks)(?s:.*)Copy"):
        export_from_s3(s3, out)
    assert (out / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"Item": 7',
        b"[]\n",
        b'{"Keys": {}, "NewImage": {}}\n',
        b"\xff\n",
        b'{"Item": null}\n',
        b'{"Item": {"pk": {"S": "a"}, "sk": {"S": "a"}, "kind": "agent"}}\n',
        b'{"Item": {"pk": {"S": "a"}, "sk": {"S": "a"}, "ttl": {"N": "soon"}}}\n',
        b'{"Item": ' + b"[" * 100_000 + b"\n",
    ],
    ids=lambda content: content[:70].decode(errors="replace"),
)
def test_items_invalid_line_raises_line_number(tmp_path: Path, content: bytes) -> None:
    write_export(tmp_path, [content], files=1)
    with pytest.raises(InvalidExport, match="line 1, is not an item"):
        list(S3Export.found_in(tmp_path).items())


def test_items_uncompressed_file_raises(s3: Path) -> None:
    file = data_files(s3)[0]
    file.write_bytes(gzip.decompress(file.read_bytes()))
    change_files(s3, 0, md5Checksum=md5_of(file))
    with pytest.raises(InvalidExport, match="is not an item"):
        list(S3Export.found_in(s3).items())


def change_files(s3: Path, which: int, **changes: Any) -> None:
    path = export_of(s3) / "manifest-files.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[which] |= changes
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def change_summary(s3: Path, **changes: Any) -> None:
    path = export_of(s3) / "manifest-summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", ["x" * 5000, "..", "\0", "/"])
def test_found_in_impossible_file_name_is_missing(s3: Path, name: str) -> None:
    change_files(s3, 0, dataFileS3Key=f"AWSDynamoDB/{name}")
    with pytest.raises(InvalidExport, match="lacks 1 of"):
        S3Export.found_in(s3)


@pytest.mark.parametrize("item", [{"id": {"S": "7"}}, {"pk": {"N": "7"}, "sk": {"S": "7"}}])
def test_items_other_table_raises(tmp_path: Path, item: dict[str, Any]) -> None:
    write_export(tmp_path, [line_of(item)])
    with pytest.raises(InvalidExport, match="no pk and sk, so the export is not of"):
        list(S3Export.found_in(tmp_path).items())


@pytest.mark.parametrize("kind", [{"N": "5"}, {"NULL": True}, {"S": "☃"}])
def test_export_foreign_items_are_omitted(tmp_path: Path, kind: dict[str, Any]) -> None:
    foreign = {"pk": {"S": "foreign"}, "sk": {"S": "1"}, "kind": kind}
    write_export(tmp_path / "s3", [line_of(foreign)])
    assert set(export_from_s3(tmp_path / "s3", tmp_path / "out").rows.values()) == {0}


def test_found_in_different_counts_raise(s3: Path) -> None:
    change_summary(s3, itemCount=11)
    with pytest.raises(InvalidExport, match=r"lists 10 items, but manifest-summary\.json 11"):
        S3Export.found_in(s3)
    change_files(s3, 0, itemCount=4)
    found = S3Export.found_in(s3)
    with pytest.raises(InvalidExport, match=r"contains 3 items, but manifest-files\.json lists 4"):
        list(found.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exportType": "INCREMENTAL_EXPORT"}, "type INCREMENTAL_EXPORT"),
        ({"outputFormat": "ION"}, "format ION"),
        ({"exportTime": "yesterday"}, "has invalid manifests"),
        ({"itemCount": "many"}, "has invalid manifests"),
        ({"itemCount": float("inf")}, "has invalid manifests"),
        ({"exportTime": "2026-11-22T10:00:00"}, "has no time zone"),
        ({"exportTime": "9999-12-31T23:59:59-12:00"}, "has invalid manifests"),
    ],
)
def test_found_in_other_type_or_format_raises(
    s3: Path, changes: dict[str, Any], message: str
) -> None:
    change_summary(s3, exportType="FULL_EXPORT")
    S3Export.found_in(s3)
    change_summary(s3, **changes)
    with pytest.raises(InvalidExport, match=message):
        S3Export.found_in(s3)


@pytest.mark.parametrize("name", ["summary", "files"])
@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "{}", "[" * 100_000])
def test_found_in_invalid_manifest_raises(s3: Path, name: str, content: str) -> None:
    (export_of(s3) / f"manifest-{name}.json").write_text(content)
    with pytest.raises(InvalidExport):
        S3Export.found_in(s3)


def test_found_in_no_or_several_exports_raises(s3: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidExport, match=r"contains no manifest-summary\.json"):
        S3Export.found_in(tmp_path / "nowhere")
    export_of(s3).rename(export_of(s3).parent / "first")
    write_export(s3, [])
    with pytest.raises(InvalidExport, match=rf"contains 2 exports: {EXPORT_ID}, first"):
        S3Export.found_in(s3)
