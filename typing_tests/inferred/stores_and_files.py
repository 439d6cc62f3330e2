from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

import pytest

from quill_models import DataStore, DynamoDataStore, Key, Quill
from quill_models.export import Exported, Format, export_files, export_from_s3
from quill_models.local import EmbeddedServer, LocalServer, ServerStatus, embedded
from quill_models.repositories.datastore import StoredItem


def store(quill: Quill, when: datetime) -> None:
    key = Key("report", "2026-11-22")
    assert_type(key.pk, str)
    assert_type(quill.store.put(key, {"rows": 7}), bool)
    assert_type(quill.store.put(key, {}, if_not_exists=True, ttl=timedelta(hours=1)), bool)
    assert_type(quill.store.put(key, {}, ttl=when), bool)
    assert_type(quill.store.get(key), StoredItem | None)
    assert_type(quill.store.query("report", "2026-"), Iterator[StoredItem])
    assert_type(quill.store.delete(key), None)
    assert_type(quill.store.check_and_mark(key, when), bool)


def stored(item: StoredItem) -> None:
    assert_type(item["rows"], Any)
    assert_type(item.key, Key)
    assert_type(item.expires_at, int | None)


def protocol(store: DataStore, adapter: DynamoDataStore) -> None:
    assert_type(store.get(Key("a", "b")), dict[str, Any] | None)
    assert_type(store.query("a"), Iterator[dict[str, Any]])
    # Whatever is written for the protocol takes the adapter.
    protocol(adapter, adapter)


def files(quill: Quill, folder: Path) -> None:
    assert_type(export_files(quill, folder), Exported)
    assert_type(export_files(quill, "powerbi", format=Format.CSV, kinds=["agents"]), Exported)
    assert_type(export_from_s3(folder, folder, format="jsonl"), Exported)


def servers() -> None:
    with embedded() as server:
        assert_type(server, EmbeddedServer)
        assert_type(server.endpoint, str)
    assert_type(LocalServer(8123).start(in_memory=True), ServerStatus)


@pytest.mark.usefixtures("quill")
def test_fixture(quill: Quill) -> None:
    """What a test of another repository asks for."""
    assert_type(quill.agents.get("ada") is None, bool)
