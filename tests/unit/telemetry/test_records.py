"""Log records of requests and retries."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore import exceptions as boto

from quill_models import (
    Key,
    Quill,
    QuillError,
    Settings,
    connect,
)
from tests.unit.telemetry.support import respond_with
from tests.unit.wire import Response, Wire, error_response, response

NOON = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
SETTINGS = Settings(table="mine")
KEY = Key("a", "b")
STORED = {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}}

pytestmark = pytest.mark.usefixtures("isolated", "delays")


@pytest.fixture
def quill() -> Quill:
    return connect(SETTINGS)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name.startswith("quill_")}


def test_log_request_has_all_fields(quill: Quill, records: list[logging.LogRecord]) -> None:
    wire = respond_with(
        quill, {"ConsumedCapacity": {"TableName": "mine", "CapacityUnits": 3.0}, **STORED}
    )
    quill.table.client.request("get_item", TableName="mine", Key={})
    (record,) = records
    assert (record.name, record.levelname) == ("quill_models.requests", "DEBUG")
    found = fields(record)
    duration = found.pop("quill_duration_ms")
    assert found == {
        "quill_operation": None,
        "quill_request": "GetItem",
        "quill_table": "mine",
        "quill_index": None,
        "quill_try_number": 1,
        "quill_http_status": 200,
        "quill_error": None,
        "quill_items": 1,
        "quill_sent_bytes": 62,
        "quill_received_bytes": None,
        "quill_read_units": 3.0,
        "quill_write_units": 0.0,
        "quill_request_id": None,
    }
    assert wire.sent[0][1]["ReturnConsumedCapacity"] == "TOTAL"
    assert record.getMessage() == f"GetItem on mine: 200, 1 item, {duration:.1f} ms, 3 read units"


REQUESTS: list[tuple[str, dict[str, Any], dict[str, Any], tuple[Any, ...]]] = [
    (
        "query",
        {"TableName": "mine", "IndexName": "gsi1"},
        {"Count": 2, "ConsumedCapacity": {"CapacityUnits": 0.5}},
        ("mine", "gsi1", 2, 0.5, 0.0),
    ),
    (
        "put_item",
        {"TableName": "mine", "Item": {"x": {"S": "y"}}},
        {"ConsumedCapacity": {"CapacityUnits": 4}},
        ("mine", None, 1, 0.0, 4.0),
    ),
    ("delete_item", {"TableName": "mine", "Key": {}}, {}, ("mine", None, 1, None, None)),
    (
        "transact_write_items",
        {"TransactItems": [{"Put": {"TableName": "mine"}}, {"Delete": {"TableName": "mine"}}]},
        {"ConsumedCapacity": [{"ReadCapacityUnits": 1, "WriteCapacityUnits": 4}]},
        ("mine", None, 2, 1.0, 4.0),
    ),
    (
        "batch_get_item",
        {"RequestItems": {"mine": {"Keys": [{}, {}, {}]}}},
        {"Responses": {"mine": [{}, {}]}, "ConsumedCapacity": [{"CapacityUnits": 2}]},
        ("mine", None, 2, 2.0, 0.0),
    ),
    (
        "batch_write_item",
        {"RequestItems": {"mine": [{"PutRequest": {}}] * 3}},
        {},
        ("mine", None, 3, None, None),
    ),
    (
        "batch_execute_statement",
        {"Statements": [{"Statement": "INSERT INTO \"mine\" VALUE {'x': ?}"}] * 25},
        {"Responses": [], "ConsumedCapacity": [{"CapacityUnits": 12}, {"CapacityUnits": 13}]},
        ("mine", None, 25, 0.0, 25.0),
    ),
    # Another statement may contain user data.
    (
        "batch_execute_statement",
        {"Statements": [{"Statement": "UPDATE mine SET x='\"secret\"'"}]},
        {"Responses": []},
        (None, None, 1, None, None),
    ),
    ("list_tables", {}, {"TableNames": []}, (None, None, None, None, None)),
]


@pytest.mark.parametrize("case", REQUESTS, ids=[each[0] for each in REQUESTS])
def test_log_request_names_table_items_and_units(
    quill: Quill, records: list[logging.LogRecord], case: tuple[Any, ...]
) -> None:
    name, parameters, reply, expected = case
    respond_with(quill, reply)
    quill.table.client.request(name, **parameters)
    found = fields(records[-1])
    names = ("table", "index", "items", "read_units", "write_units")
    assert tuple(found[f"quill_{each}"] for each in names) == expected


FAILURES: list[tuple[Response, int | None, str]] = [
    (error_response("ThrottlingException"), 400, "ThrottlingException"),
    (error_response("InternalServerError", 500), 500, "InternalServerError"),
    (response(b"<html>Service Unavailable</html>", 503), 503, "503"),
    (boto.ConnectionClosedError(endpoint_url="http://localhost"), None, "ConnectionClosedError"),
    (boto.ReadTimeoutError(endpoint_url="http://localhost"), None, "ReadTimeoutError"),
]


@pytest.mark.parametrize(("failure", "status", "error"), FAILURES)
def test_log_failed_request_and_its_retry(
    quill: Quill,
    records: list[logging.LogRecord],
    failure: Response,
    status: int | None,
    error: str,
) -> None:
    respond_with(quill, failure, STORED)
    quill.store.get(KEY)
    failed, retried, done = records
    assert (fields(failed)["quill_http_status"], fields(failed)["quill_error"]) == (status, error)
    assert fields(failed)["quill_items"] is None
    assert (retried.name, retried.levelname) == ("quill_models.retries", "INFO")
    assert fields(retried)["quill_request"] == "GetItem"
    assert fields(retried)["quill_operation"] == "store.get"
    assert fields(retried)["quill_table"] == "mine"
    assert fields(retried)["quill_try_number"] == 1
    assert 0 <= fields(retried)["quill_wait_ms"] <= 50
    assert (fields(done)["quill_try_number"], fields(done)["quill_error"]) == (2, None)
    assert ", try 2, 1 item" in done.getMessage()


def test_log_truncated_response_is_an_error(quill: Quill, records: list[logging.LogRecord]) -> None:
    cut = response({"Item": {}})
    cut.headers["Content-Length"] = "4000"
    respond_with(quill, cut, STORED)
    quill.store.get(KEY)
    assert fields(records[0])["quill_error"] == "ResponseStreamingError"
    assert fields(records[0])["quill_http_status"] == 200


def test_log_retry_after_half_deadline_warns_once(
    records: list[logging.LogRecord], delays: list[float]
) -> None:
    quill = connect(replace(SETTINGS, deadline=timedelta(seconds=5)))
    Wire(quill.table.client, lambda _name, _body: error_response("ThrottlingException"))
    with pytest.raises(QuillError):
        quill.store.get(KEY)
    retries = [each for each in records if each.name == "quill_models.retries"]
    assert len(retries) == len(delays) > 3
    (late,) = [each for each in retries if each.levelname == "WARNING"]

    def next_try(record: logging.LogRecord) -> float:
        return float(fields(record)["quill_spent_ms"] + fields(record)["quill_wait_ms"])

    assert next_try(late) >= 2500 > next_try(retries[retries.index(late) - 1])
    assert "Throttled" in late.getMessage()
    assert "of 5 s" in late.getMessage()


def test_log_unconfigured_prints_nothing() -> None:
    program = (
        "import logging; from quill_models import connect;"
        "logging.getLogger('quill_models.job_runs').warning('something')"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (shown.stdout, shown.stderr) == (b"", b"")


def test_log_request_keeps_fields_of_application(
    quill: Quill, records: list[logging.LogRecord]
) -> None:
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        for name in ("request_id", "operation", "table", "error", "items"):
            setattr(record, name, "theirs")
        return record

    logging.setLogRecordFactory(factory)
    try:
        respond_with(quill, STORED)
        quill.store.get(KEY)
    finally:
        logging.setLogRecordFactory(before)
    assert vars(records[0])["operation"] == "theirs"
    assert fields(records[0])["quill_operation"] == "store.get"
