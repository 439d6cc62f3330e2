"""The benchmark of writes: its events, its units, its report and its command."""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from importlib import import_module

import pytest

from benchmarks.writes import __main__ as command
from benchmarks.writes.contender import Counts
from benchmarks.writes.contenders import CONTENDERS
from benchmarks.writes.events import INPUTS, item_of, row_of, work
from benchmarks.writes.machine import Machine
from benchmarks.writes.measure import Run
from benchmarks.writes.report import as_json, as_markdown, as_text
from benchmarks.writes.results import Results
from benchmarks.writes.units import Units, index_units, table_units
from quill_models import Settings
from quill_models.dynamodb.items import size_of
from quill_models.dynamodb.table import Table

TABLE = Table(Settings())


def run(contender: str, input_: str, number: int, seconds: float) -> Run:
    return Run(
        contender=contender,
        input=input_,
        round=number,
        server="A server",
        events=100,
        seconds=seconds,
        cpu_seconds=0.5,
        server_seconds=None if input_ == "duplicate" else 1.5,
        requests=4,
        write_units=200,
        index_units=300,
        read_units=1,
        item_bytes=1024,
    )


RESULTS = Results(
    [
        run("quill-many", "new", 1, 0.1),
        run("pynamodb-save-8", "new", 1, 0.6),
        run("quill-many", "duplicate", 1, 0.2),
        run("quill-many", "new", 2, 0.2),
        run("pynamodb-save-8", "new", 2, 0.8),
        run("quill-many", "duplicate", 2, 0.2),
        run("quill-many", "new", 3, 0.1),
        run("pynamodb-save-8", "new", 3, 0.8),
        run("quill-many", "duplicate", 3, 0.2),
    ]
)
MACHINE = Machine(
    cpu="A processor", cores=2, python="3.11.7", server="A server", libraries={"pynamodb": "6.1.0"}
)


# Events.


def test_work_input_has_its_share_of_stored_events() -> None:
    for name, before in zip(INPUTS, (0, 10, 5), strict=True):
        input_work = work(name, 10)
        digests = {event.event_key: event.digest for event in input_work.events}
        assert len(digests) == 10
        assert len(input_work.stored) == before
        assert all(digests[event.event_key] == event.digest for event in input_work.stored)


def test_work_half_repeats_stored_events_as_retries() -> None:
    input_work = work("half", 4)
    assert [event.payload["attemptNumber"] for event in input_work.events] == [1, 0, 1, 0]
    assert [event.payload["attemptNumber"] for event in input_work.stored] == [0, 0]


def test_row_of_event_has_the_attributes_of_the_item() -> None:
    (event,) = work("new", 1).events
    item = item_of(event, TABLE)
    row = row_of(event, Settings())
    assert set(row) == set(item)
    assert {name: row[name] for name in item if name.startswith("gsi")} == {
        name: value["S"] for name, value in item.items() if name.startswith("gsi")
    }


def test_item_of_event_is_one_write_unit() -> None:
    sizes = [size_of(item_of(event, TABLE)) for event in work("new", 200).events]
    assert 900 < min(sizes) <= max(sizes) < 1000


# Units.

ITEM = {"pk": {"S": "p"}, "sk": {"S": "s"}, "text": {"S": "x" * 1500}}


def counted(operation: str, body: object) -> Units:
    return table_units([(operation, json.dumps(body).encode())])


def test_table_units_write_is_a_unit_per_kb() -> None:
    assert counted("PutItem", {"Item": ITEM}) == Units(writes=2)
    small = {name: ITEM[name] for name in ("pk", "sk")}
    assert counted("PutItem", {"Item": small}) == Units(writes=1)
    assert counted("DeleteItem", {"Key": small}) == Units(writes=1)
    values = {":text": {"S": "x" * 1500}}
    update = {"Key": small, "ExpressionAttributeValues": values}
    assert counted("UpdateItem", update) == Units(writes=2)


def test_table_units_batch_is_the_sum_of_its_writes() -> None:
    puts = [{"PutRequest": {"Item": ITEM}}] * 3
    assert counted("BatchWriteItem", {"RequestItems": {"t": puts}}) == Units(writes=6)
    inserts = [
        {
            "Statement": "INSERT INTO \"t\" VALUE {'pk': ?, 'sk': ?, 'text': ?}",
            "Parameters": list(ITEM.values()),
        }
    ]
    assert counted("BatchExecuteStatement", {"Statements": inserts}) == Units(writes=2)


def test_table_units_transaction_is_doubled() -> None:
    actions = [{"Put": {"Item": ITEM}}, {"ConditionCheck": {"Key": {"pk": {"S": "p"}}}}]
    assert counted("TransactWriteItems", {"TransactItems": actions}) == Units(writes=6)


def test_table_units_eventually_consistent_read_is_halved() -> None:
    assert counted("GetItem", {"ConsistentRead": True}) == Units(reads=1)
    assert counted("GetItem", {}) == Units(reads=0.5)
    request_items = {"t": {"Keys": [{}, {}, {}], "ConsistentRead": True}}
    assert counted("BatchGetItem", {"RequestItems": request_items}) == Units(reads=3)


def test_table_units_unknown_operation_raises_value_error() -> None:
    with pytest.raises(ValueError, match="Query"):
        counted("Query", {})


def test_index_units_item_counts_only_its_indexes() -> None:
    assert index_units(ITEM) == 0
    assert index_units({**ITEM, "gsi1pk": {"S": "x"}, "gsi3pk": {"S": "x"}}) == 4
    (event,) = work("new", 1).events
    assert index_units(item_of(event, TABLE)) == 3


def test_counts_of_created_flags_counts_both() -> None:
    assert Counts.of([True, False, True]) == Counts(created=2, duplicate=1)


# Reports.


def test_ratio_compares_runs_of_the_same_round() -> None:
    # The ratio of the medians would be 8.
    ratio = RESULTS.ratio("quill-many", "pynamodb-save-8", "new")
    assert ratio is not None
    assert astuple(ratio) == pytest.approx((6, 4, 8))
    assert RESULTS.ratio("quill-many", "pynamodb-batch", "new") is None


def test_targets_reached_missed_or_not_measured() -> None:
    assert [target.reached for target in RESULTS.targets()] == [True, None, False]


def test_report_text_and_markdown_have_a_row_per_contender() -> None:
    text = as_text(RESULTS, MACHINE)
    assert "100 events of 1.00 KB a run; median (minimum-maximum) of 3 rounds" in text
    (line,) = (line for line in text.splitlines() if line.startswith("PynamoDB save(condition), 8"))
    assert line.split("  ")[-1] == "0.01"
    assert "125 (125-167)" in line
    assert "as of new events: no, 0.50 (0.50-1.00)" in text

    markdown = as_markdown(RESULTS, MACHINE, "the command")
    assert "by `the command`" in markdown
    (row,) = (row for row in markdown.splitlines() if "| 125 (125-167) |" in row)
    assert row.count("|") == 11
    assert "| 5.00 | 15.00 | 0.040 |" in row
    assert "pynamodb 6.1.0" in markdown

    assert len(json.loads(as_json(RESULTS, MACHINE, "the command"))["runs"]) == 9


# The command.


def test_contenders_installed_have_their_function() -> None:
    for name, contender in CONTENDERS.items():
        if not contender.missing():
            module, function = contender.where.split(":")
            found = import_module(f"benchmarks.writes.contenders.{module}")
            assert function in found.__all__, name


def test_main_missing_library_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without = replace(CONTENDERS["quill-many"], needs=("no_such_library",))
    monkeypatch.setitem(CONTENDERS, "quill-many", without)
    assert command.main(["--only", "quill-many"]) == 2
    error = capsys.readouterr().err
    assert "no_such_library" in error
    assert "pip install -e '.[bench]'" in error
