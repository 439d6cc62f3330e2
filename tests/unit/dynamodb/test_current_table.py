"""The table of PynamoDB's own calls."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quill_models import Agent, QuillError, Settings, connect
from quill_models.dynamodb.current_table import current_table, known_shards
from quill_models.dynamodb.shards import DEFAULT_SHARDS
from quill_models.dynamodb.table import Table
from quill_models.errors import ConfigurationError
from tests.unit.examples import agent, entered
from tests.unit.wire import Wire, always

pytestmark = pytest.mark.usefixtures("isolated")


def table(name: str, endpoint: str | None = None) -> Table:
    return Table(Settings(table=name, endpoint=endpoint))


def in_another_thread() -> str:
    """Return the table of PynamoDB's own calls in that thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: current_table().name).result()


def test_current_table_one_open_returns_it() -> None:
    here = table("here")
    with entered(here):
        assert current_table() is here
    assert current_table() is not here


def test_current_table_nested_returns_the_innermost() -> None:
    outer, inner = table("outer"), table("inner")
    with entered(outer):
        with entered(inner):
            assert current_table() is inner
        assert current_table() is outer


def test_current_table_same_table_entered_twice_stays_open() -> None:
    here = table("here")
    with entered(here):
        with entered(here):
            assert current_table() is here
        assert current_table() is here
        assert in_another_thread() == "here"


def test_current_table_block_left_by_error_is_closed() -> None:
    with pytest.raises(ZeroDivisionError), entered(table("here")):
        _ = 1 // 0
    assert current_table().name == "quill"


def test_current_table_other_thread_returns_the_only_open_one() -> None:
    with entered(table("only")):
        assert in_another_thread() == "only"


def test_current_table_other_thread_several_open_raises() -> None:
    with (
        entered(table("one")),
        entered(table("other")),
        pytest.raises(QuillError, match=r"2 Quill connections are open, but none in this thread"),
    ):
        in_another_thread()


def test_current_table_thread_with_own_block_returns_its_own() -> None:
    def own() -> str:
        with entered(table("own")):
            return current_table().name

    with entered(table("one")), entered(table("other")), ThreadPoolExecutor(1) as pool:
        assert pool.submit(own).result() == "own"


def test_current_table_block_of_other_thread_has_no_effect() -> None:
    opened, done = threading.Event(), threading.Event()

    def open_another() -> None:
        with entered(table("another")):
            opened.set()
            done.wait(60)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(open_another)
        assert opened.wait(60)
        with entered(table("here")):
            assert current_table().name == "here"
        assert current_table().name == "another"
        done.set()
        other.result()
    assert current_table().name == "quill"


def test_current_table_none_open_returns_that_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = current_table()
    assert (first.name, first.settings.endpoint) == ("quill", "http://localhost:8000")
    assert current_table() is first
    monkeypatch.setenv("QUILL_TABLE", "of-env")
    assert current_table().name == "of-env"
    monkeypatch.delenv("QUILL_TABLE")
    assert current_table() is first


def test_current_table_none_open_reads_the_settings_file(isolated: Path) -> None:
    (isolated / ".env").write_text("QUILL_TABLE=of-file\n")
    assert current_table().name == "of-file"


def test_current_table_invalid_setting_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_BACKEND", "moto")
    with pytest.raises(ConfigurationError, match="DATA_BACKEND"):
        current_table()


def test_known_shards_of_current_table_sends_no_request() -> None:
    here = table("here")
    wire = Wire(here.client, always({}))
    with entered(here):
        assert known_shards() == DEFAULT_SHARDS
    assert wire.sent == []


def test_pynamodb_call_uses_the_current_table() -> None:
    one, other = table("one", "http://one:1"), table("other", "http://other:2")
    item = agent().to_item(DEFAULT_SHARDS)
    wires = {each.name: Wire(each.client, always({"Item": item})) for each in (one, other)}
    with entered(one):
        with entered(other):
            assert Agent.get("AGENT#7", "PROFILE") == agent()
        assert Agent.get("AGENT#7", "PROFILE") == agent()
    for name, wire in wires.items():
        assert [(call, body["TableName"]) for call, body in wire.sent] == [("GetItem", name)]
    assert one.client.botocore.meta.endpoint_url == "http://one:1"
    assert other.client.botocore.meta.endpoint_url == "http://other:2"


def test_quill_block_makes_its_table_current() -> None:
    with connect(Settings(table="outer")):
        with connect(Settings(table="inner")):
            assert current_table().name == "inner"
        assert current_table().name == "outer"
    assert current_table().name == "quill"


def test_quill_block_nested_in_itself_stays_open() -> None:
    quill = connect(Settings(table="here"))
    with quill:
        with quill:
            assert current_table().name == "here"
        assert current_table().name == "here"
    assert current_table().name == "quill"


def test_quill_block_in_two_threads_stays_open() -> None:
    quill = connect(Settings(table="here"))
    entered_there, left_here = threading.Event(), threading.Event()

    def there() -> str:
        with quill:
            entered_there.set()
            left_here.wait(60)
            return current_table().name

    with ThreadPoolExecutor(1) as pool:
        try:
            with quill:
                other = pool.submit(there)
                assert entered_there.wait(60)
        finally:
            left_here.set()
        assert other.result() == "here"
    assert current_table().name == "quill"
