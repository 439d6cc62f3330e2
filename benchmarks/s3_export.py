"""Generated DynamoDB exports to S3 of any size, in the format of AWS."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

from quill_models.dynamodb.items import RawItem
from quill_models.models import Agent, Interaction, JobRun, Metric, QuillModel, WebhookEvent
from quill_models.repositories.external_ids import put_claims
from quill_models.values.keys import time_text

__all__ = ["EXPORT_ID", "EXPORT_TIME", "line_of", "lines_of_table", "md5_of", "write_export"]

EXPORT_ID = "01795341600000-a1b2c3d4"
EXPORT_TIME = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
DAYS = 30
SHARDS = 4
# Placeholders in the templates for the number and the time of an item.
_NUMBER, _WHEN = "ITEM-NUMBER", datetime(2001, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC)
_DAY = "2001-02-03"


def write_export(folder: Path, lines: Iterable[bytes], *, files: int = 4) -> int:
    """Write a full export with its manifests, and return its number of items.

    Args:
        folder: Folder in which to create ``AWSDynamoDB``.
        lines: Items in DYNAMODB_JSON, one per line.
        files: Number of data files.
    """
    export = folder / "AWSDynamoDB" / EXPORT_ID
    (export / "data").mkdir(parents=True)
    paths = [
        export / "data" / f"{'abcdefghij'[at % 10] * 20}{at:06d}.json.gz" for at in range(files)
    ]
    counts = [0] * files
    with ExitStack() as stack:
        opened = [stack.enter_context(gzip.open(path, "wb", compresslevel=1)) for path in paths]
        for at, line in zip(cycle(range(files)), lines):
            opened[at].write(line)
            counts[at] += 1
    manifest = [
        {
            "itemCount": count,
            "md5Checksum": md5_of(path),
            "etag": "af83d6f217c19b8b0fff8023d8ca4716-1",
            "dataFileS3Key": f"AWSDynamoDB/{EXPORT_ID}/data/{path.name}",
        }
        for path, count in zip(paths, counts, strict=True)
    ]
    (export / "manifest-files.json").write_text(
        "".join(f"{json.dumps(each)}\n" for each in manifest)
    )
    table = "arn:aws:dynamodb:us-west-2:123456789012:table/quill"
    summary = {
        "version": "2020-06-30",
        "exportArn": f"{table}/export/{EXPORT_ID}",
        "startTime": "2026-11-23T06:00:01.034Z",
        "endTime": "2026-11-23T06:07:43.897Z",
        "tableArn": table,
        "tableId": "12345a12-abcd-123a-ab12-1234abc12345",
        "exportTime": "2026-11-23T06:00:00.000Z",
        "s3Bucket": "quill-exports",
        "s3Prefix": None,
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"AWSDynamoDB/{EXPORT_ID}/manifest-files.json",
        "billedSizeBytes": 0,
        "itemCount": sum(counts),
        "outputFormat": "DYNAMODB_JSON",
    }
    (export / "manifest-summary.json").write_text(json.dumps(summary))
    return sum(counts)


def line_of(item: RawItem) -> bytes:
    """Format an item as a line of a data file."""
    return json.dumps({"Item": item}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def lines_of_table(items: int) -> Iterator[bytes]:
    """Yield ``items`` lines of all kinds, over 30 days in no order.

    In each group of 21 items there are 9 webhook events, 4 interactions, 4 claims of external ids,
    2 metrics, 1 job run and 1 agent.
    """
    templates = cycle(_templates())
    span = DAYS * 86_400 * 1_000_000
    first = EXPORT_TIME.replace(hour=0) - timedelta(days=DAYS)
    old_time, number_of = time_text(_WHEN).encode(), _NUMBER.encode()
    for number, template in enumerate(islice(templates, items)):
        # A large prime, so that neighbours are days apart.
        when = first + timedelta(microseconds=number * 1_000_003_000_007 % span)
        text = time_text(when).encode()
        line = template.replace(number_of, b"%d" % number).replace(old_time, text)
        yield line.replace(_DAY.encode(), text[:10])


def _templates() -> list[bytes]:
    agent = Agent(agent_id=_NUMBER, name="Ada Okafor", team="north", email="ada@example.com")
    call = Interaction(
        interaction_id=_NUMBER,
        source="hubspot",
        external_id=_NUMBER,
        agent_id="ada",
        contact_id="847297356",
        channel="call",
        direction="inbound",
        started_at=_WHEN,
        ended_at=_WHEN,
        duration_seconds=330.5,
        subject="Rechnung für Übersetzungen",
        attributes={"queue": "sales", "number": _NUMBER},
    )
    calls = Metric(
        scope=f"agent:{_NUMBER}",
        name="calls",
        grain="hour",
        bucket_start=_WHEN.replace(minute=0, second=0, microsecond=0),
        value=17,
    )
    run = JobRun(
        job_name="sync",
        window=_NUMBER,
        run_id=_NUMBER,
        owner="worker:1",
        status="succeeded",
        started_at=_WHEN,
        finished_at=_WHEN,
        lease_expires_at=_WHEN,
        stats={"rows": 250},
    )
    event = WebhookEvent(
        source="hubspot",
        event_key=f"{_NUMBER}.9f86d081884c7d659a2feaa0c55ad015",
        event_type="contact.propertyChange",
        object_type="contact",
        object_id="847297356",
        occurred_at=_WHEN,
        received_at=_WHEN,
        status="processed",
        payload={
            "eventId": _NUMBER,
            "subscriptionType": "contact.propertyChange",
            "portalId": 62515,
            "propertyName": "lifecyclestage",
            "propertyValue": "customer " * 20,
        },
    )
    bucket = time_text(calls.bucket_start).encode()
    claim = put_claims(call, _item(call))[0].item
    return [
        line_of(each).replace(bucket, time_text(_WHEN).encode())
        for each in (
            *[_item(event)] * 9,
            *[_item(call), claim] * 4,
            *[_item(calls)] * 2,
            _item(run),
            _item(agent),
        )
    ]


def _item(model: QuillModel) -> RawItem:
    model.created_at = model.updated_at = _WHEN
    model.write_token = "aaaaaaaaaaa"  # noqa: S105
    return model.to_item(SHARDS)


def md5_of(path: Path) -> str:
    """Return the checksum of a file in the format of the manifest."""
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
