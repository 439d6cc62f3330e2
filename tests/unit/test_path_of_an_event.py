"""The files that write one event, as CONTRIBUTING.md shows them."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import pytest

import quill_models
from quill_models import Settings, WebhookEvent, connect
from tests.unit.wire import Wire, response

ROOT = Path(quill_models.__file__).parent
NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)
PATH_FILES = [
    "repositories/repository.py",
    "writes/bulk.py",
    "repositories/record_once.py",
    "models/base.py",
    "models/webhook_event.py",
    "models/key_schema.py",
    "writes/driver.py",
    "writes/actions.py",
    "dynamodb/client.py",
    "dynamodb/transport.py",
]
SHARED_FILES = [
    "values/keys.py",
    "values/clock.py",
    "telemetry/operations.py",
    "values/canonical.py",
    "dynamodb/items.py",
    "dynamodb/connection.py",
    "dynamodb/table.py",
    "dynamodb/shards.py",
]

pytestmark = pytest.mark.usefixtures("isolated")


def event(key: str) -> WebhookEvent:
    return WebhookEvent(
        source="hubspot",
        event_key=key,
        event_type="contact.creation",
        occurred_at=NOON,
        received_at=NOON,
        payload={"number": 1},
    )


def test_record_many_one_event_runs_the_files_of_the_map() -> None:
    quill = connect(Settings(), clock=lambda: NOON)
    Wire(quill.table.client, lambda _name, _body: response({}))
    quill.webhook_events.record_many([event("first")])
    given, run = [event("second")], set[str]()

    def note(frame: FrameType, what: str, _argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if what == "call" and ROOT in file.parents:
            run.add(file.relative_to(ROOT).as_posix())

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        quill.webhook_events.record_many(given)
    finally:
        sys.setprofile(before)
    assert run == {*PATH_FILES, *SHARED_FILES}
    assert (len(PATH_FILES), len(SHARED_FILES)) <= (10, 8)


def test_contributing_map_shows_the_files_of_the_path() -> None:
    page = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| `quill_models/(\S+\.py)` \|", page, re.MULTILINE)
    assert [row for row in rows if "/" in row][:10] == PATH_FILES
    shared_files = page[
        page.index("Eight more files") : page.index("`tests/unit/test_path_of_an_event.py`")
    ]
    assert {name.rpartition("/")[2] for name in re.findall(r"`([\w/]+\.py)`", shared_files)} == {
        name.rpartition("/")[2] for name in SHARED_FILES
    }
